"""The result of a check."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]
Finding = tuple[Status, str, str]  # status, what was found, what to do about it


@dataclass(frozen=True)
class Check:
    """A check with its result: ``remedy`` says what to do, empty where nothing is to be done."""

    name: str
    status: Status
    finding: str
    remedy: str = ""


def ok(finding: str) -> Finding:
    """Nothing to do."""
    return "ok", finding, ""


def warn(finding: str, remedy: str) -> Finding:
    """It works, but not as it should."""
    return "warn", finding, remedy


def fail(finding: str, remedy: str) -> Finding:
    """A run will not work."""
    return "fail", finding, remedy
