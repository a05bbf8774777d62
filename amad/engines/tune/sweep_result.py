"""Trials of a sweep, their settings, and ``best.json``, which is what a sweep found."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from amad.config import Params
from amad.config.params import MaskFamily
from amad.telemetry.artifact import Artifact

# name in tune.space -> section and key of the settings
PLACES = {
    "mask_family": ("mask", "family"),
    "mask_ratio": ("mask", "ratio"),
    "contrast": ("loss", "contrast"),
    "temperature": ("loss", "temperature"),
    "maxmin": ("loss", "maxmin"),
}
State = Literal["complete", "stopped", "diverged", "failed"]


class Trial(BaseModel):
    """A trial and its result; the fields are the columns of ``trials.csv``.

    trial: its number, from 1. mask_family to maxmin: its settings, by name in ``tune.space``.
    objective: after its last epoch; None where it had none. state: ``diverged`` where the loss of
    its training became no number, ``failed`` by any other error, after which it is tried again.
    """

    model_config = ConfigDict(frozen=True)

    trial: int
    mask_family: MaskFamily
    mask_ratio: float
    contrast: float
    temperature: float
    maxmin: float
    objective: float | None
    epochs: int
    state: State

    @property
    def settings(self) -> dict:
        """By name in ``tune.space``."""
        return {name: getattr(self, name) for name in PLACES}


class SweepResult(Artifact):
    """The best settings, for ``with_settings``, and the trial that they are from.

    trials: how many the sweep had. Where it could have none, ``reason`` says why, and there are no
    settings: those of params.yaml stay.
    """

    FILE: ClassVar[str] = "best.json"
    REMEDY: ClassVar[str] = "run 'amad tune'"

    settings: dict[str, dict[str, MaskFamily | float]]
    objective: float | None = None
    trial: int | None = None
    trials: int
    reason: str = ""


def overlay(settings: dict) -> dict[str, dict]:
    """Settings by name in ``tune.space``, as sections of the settings: ``{"mask": {...}}``."""
    sections: dict[str, dict] = {}
    for name, value in settings.items():
        section, key = PLACES[name]
        sections.setdefault(section, {})[key] = value
    return sections


def with_settings(params: Params, sections: dict[str, dict]) -> Params:
    """``params`` with the keys of the sections in place of its own.

    Raises:
        KeyError: a section is unknown.
        ValueError: a key is unknown or a value is not accepted.
    """
    content = params.model_dump()
    for section, values in sections.items():
        content[section] = content[section] | values
    return Params.model_validate(content)


def differences(before: Params, after: Params) -> str:
    """Which of the settings that a sweep searches are others: ``mask.family time -> channel``."""
    content, changed = before.model_dump(), after.model_dump()
    return ", ".join(
        f"{section}.{key} {_text(content[section][key])} -> {_text(changed[section][key])}"
        for section, key in PLACES.values()
        if content[section][key] != changed[section][key]
    )


def with_trial_budget(params: Params, vehicles: int) -> Params:
    """``params`` with the epochs and windows of a trial in place of those of a training.

    An epoch of a trial draws half of the windows. vehicles: how many the fleet has.
    """
    windows = max(params.train.windows_per_epoch(vehicles) // 2, 1)
    budget = {"epochs": params.tune.epochs, "max_windows": windows}
    return params.model_copy(update={"train": params.train.model_copy(update=budget)})


def present_settings(params: Params) -> dict | None:
    """Those of ``params``, by name in ``tune.space``; None where the space does not hold them."""
    content, space = params.model_dump(), params.tune.space
    found = {name: content[section][key] for name, (section, key) in PLACES.items()}
    for name, value in found.items():
        values = getattr(space, name)
        if not (values[0] <= value <= values[1] if is_range(values) else value in values):
            return None
    return found


def is_range(values: object) -> bool:
    """Whether a part of the space is a (low, high); choices are lists."""
    return isinstance(values, tuple)


def described(settings: dict) -> str:
    """``mask_family=time mask_ratio=0.5 ... maxmin=0.013``; other keys are left out."""
    return " ".join(f"{name}={_text(settings[name])}" for name in PLACES)


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
