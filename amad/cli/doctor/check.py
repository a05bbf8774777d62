"""What a check is given, and what it finds."""

from dataclasses import dataclass
from typing import Literal

from amad.config import Fleet, Params, Settings

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding: ``remedy`` says what to do, empty where nothing is."""

    name: str
    status: Status
    finding: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is examined: a project home, and one fleet of it."""

    settings: Settings
    params: Params
    fleet: Fleet


def ok(name: str, finding: str) -> Check:
    """Nothing to do."""
    return Check(name=name, status="ok", finding=finding)


def warn(name: str, finding: str, remedy: str) -> Check:
    """Works, but not as it should."""
    return Check(name=name, status="warn", finding=finding, remedy=remedy)


def fail(name: str, finding: str, remedy: str) -> Check:
    """A run will not work."""
    return Check(name=name, status="fail", finding=finding, remedy=remedy)
