"""Channels of whole numbers or words that seem to name vehicles, which then are taken for one.

Shape legend: N rows, C channels.
"""

import re
from collections.abc import Iterator

import numpy as np

from amad.config.wording import some
from amad.draft.channels import Drafted
from amad.draft.trial import Trial

# Of the machine itself, which other channels follow, as they follow the id of a vehicle.
STATE = re.compile("state|status|mode|phase|step|stage|gear|zustand|schritt", re.I)
MOST_IDS = 50
FEWEST_ROWS = 40
TURNS = 0.3  # least share of rows that tell another id than the row before
SMOOTHER = 0.5  # most that the steps between rows of one id may be, as a share of all steps
AT_STARTS = 0.9  # least share of the changes of an id at which the time starts again
SEEMS = (
    "column {} ({}) seems to name vehicles, as {}: if it does, set source.vehicle to it, since now "
    "rows of several are taken for those of one"
)
TAKE_TURNS = "rows take turns, and values go on from the last row with the same one"
STARTS_AGAIN = "the time starts again where it changes"


def seem_to_name_vehicles(trial: Trial, channels: list[Drafted], told: list[str]) -> Iterator[str]:
    """A guess on each of the channels that seems to name vehicles, unless that is told already."""
    for at, channel in enumerate(channels):
        header = repr(channel.header.strip())
        if any(header in guess for guess in told):
            continue
        kept_N = ~np.isnan(trial.value_NC[:, at])
        id_N = trial.value_NC[kept_N, at]
        ids = np.unique(id_N)
        is_few = 2 <= len(ids) <= MOST_IDS and np.all(ids == np.rint(ids))
        is_state = bool(STATE.search(channel.header))
        is_state |= np.array_equal(ids, [0, 1]) and not channel.codes
        if len(id_N) < FEWEST_ROWS or not is_few or is_state:
            continue
        beside = np.diff(trial.file_N[kept_N]) == 0  # of two rows that follow each other
        changes = (np.diff(id_N) != 0) & beside
        back = (np.diff(trial.time_N[kept_N]) < 0) & beside
        others_NC = np.delete(trial.value_NC[kept_N], at, axis=1)
        if changes.sum() >= TURNS * beside.sum() and _go_on(id_N, trial.file_N[kept_N], others_NC):
            why = TAKE_TURNS
        elif back.any() and changes[back].all() and back.sum() >= AT_STARTS * changes.sum():
            why = STARTS_AGAIN
        else:
            continue
        words = {code: word for word, code in channel.codes.items()}
        names = [str(words.get(number, f"{number:.0f}")) for number in ids.tolist()]
        yield SEEMS.format(header, some(names), why)


def _go_on(id_N: np.ndarray, file_N: np.ndarray, value_NC: np.ndarray) -> bool:
    """Are the steps of some channel between rows of one id much smaller than between all rows?"""
    order_N = np.lexsort((id_N, file_N))
    own = (np.diff(id_N[order_N]) == 0) & (np.diff(file_N[order_N]) == 0)
    for value_N in value_NC.T:
        steps = np.abs(np.diff(value_N))
        own_steps = np.abs(np.diff(value_N[order_N]))[own]
        if np.isnan(steps).all() or np.isnan(own_steps).all():
            continue
        if np.nanmean(own_steps) < SMOOTHER * np.nanmean(steps):
            return True
    return False
