"""Files in which a column has another scale than in the others, such as mV and not V."""

import numpy as np
import pandas as pd

from amad.config.wording import some
from amad.draft.trial import Trial
from amad.telemetry.other_scale import lasting_jump, of_factor, of_other_scale

SCALED = (
    "in {} the values of {!r} are about {} of those in the other files: if they are in another "
    "unit, convert them; the range is that of the others"
)


def files_of_other_scale(trial: Trial, channel: int) -> dict[int, float]:
    """Number of a file -> the factor by which a channel's values are larger than elsewhere."""
    value_N, levels, spreads = trial.value_NC[:, channel], [], []
    for number in range(len(trial.paths)):
        own = value_N[(trial.file_N == number) & ~np.isnan(value_N)]
        size = np.abs(own[own != 0])
        levels.append(np.median(size) if len(size) else 0.0)
        spreads.append(np.subtract(*np.quantile(own, (0.9, 0.1))) if len(own) else 0.0)
    return of_other_scale(np.array(levels), np.array(spreads)) or _from_some_file_on(trial, channel)


def _from_some_file_on(trial: Trial, channel: int) -> dict[int, float]:
    """The same for the files of a vehicle from some day on, as after a change of its unit."""
    columns = ("vehicle", trial.vehicle_N), ("file", trial.file_N), ("time", trial.time_N)
    rows = pd.DataFrame(dict(columns) | {"value": trial.value_NC[:, channel]}).dropna()
    of_file = rows.groupby(["vehicle", "file"], as_index=False)
    told = of_file.agg(first=("time", "min"), mean=("value", "mean"), std=("value", "std"),
                       max=("value", "max")).sort_values("first")  # fmt: skip
    told.insert(3, "level", np.hypot(told["mean"], told["std"]))
    found: dict[int, float] = {}
    for _, files in told[told["std"] > 0].groupby("vehicle"):
        if jump := lasting_jump(files[["level", "std", "max"]].to_numpy()):
            found |= dict.fromkeys(files["file"].iloc[jump[0] :], jump[1])
    return found


def told_of(header: str, found: dict[int, float], paths: list[str]) -> str:
    """What is told of these files of a column."""
    factor = next(iter(found.values()))
    names = [paths[number] for number, told in found.items() if told == factor]
    return SCALED.format(some(names), header.strip(), of_factor(factor))
