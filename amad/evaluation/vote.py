"""Does the network earn its vote? Decided for a fleet and a form of the detector, without labels.

    detect, vote = decide_vote(store, bundle, params)
    detector = build_detector(bundle, detect).fit(train, calibration)

Faults are injected into calibration rows, which the training of the network did not see. Each case
is scored with the network's vote and without it; the difference in average precision is the
network's share. The network votes if the lower end of the share's interval is above 0, and if it
predicts hidden calibration rows better than its linear skip in the mean. Test rows and labels are
not read. The faults differ from those of the sweep, which chose the network's settings.
"""

import time
from collections.abc import Sequence

import numpy as np

from amad.config import DataError, Params
from amad.config.console import say
from amad.config.params import DetectParams
from amad.detect.members.build import build_members
from amad.evaluation.evaluation_metrics import Vote
from amad.evaluation.objective import InjectedObjective
from amad.metrics import bootstrap_mean, bootstrap_nested_mean
from amad.model.bundle import Bundle
from amad.windows.store import WindowStore

CASES, VEHICLES = 120, 12  # at most; they bound the time, whatever the size of the fleet
OTHER_FAULTS = 1_000_003  # added to the seed, so that the faults are not those of the sweep


def decide_vote(store: WindowStore, bundle: Bundle, params: Params) -> tuple[DetectParams, Vote]:
    """The settings of the detector with a number as ``amad_weight``, and why it is that number.

    params: of the present run; the network is described by those of its bundle. The same arguments
    give the same decision on the same kind of device.
    """
    started, detect = time.perf_counter(), params.detect
    vote = _vote(store, bundle, params)
    if vote.measured:
        say(f"{vote.sentence} ({time.perf_counter() - started:.0f} s)")
    return detect.model_copy(update={"amad_weight": vote.weight}), vote


def judged_vote(shares: Sequence[np.ndarray], gains: Sequence[float], params: Params) -> Vote:
    """The decision from the measured figures.

    shares: for each vehicle, the share of each case. gains: of each vehicle, see
    ``InjectedObjective``. params: give the bootstrap, its confidence and its seed.
    """
    how = (params.evaluate.bootstrap, params.evaluate.confidence, params.seed)
    share, gain = bootstrap_nested_mean(shares, *how), bootstrap_mean(gains, *how)
    cases = sum(len(own) for own in shares)
    adds, predicts = share[1] > 0, gain[0] > 0
    figures = (
        f"{share[0]:+.4f} [{share[1]:+.4f}, {share[2]:+.4f}] average precision on {cases} faults "
        f"injected into held-out rows, and its error there is {abs(gain[0]):.1%} "
        f"{'below' if predicts else 'above'} that of its linear skip"
    )
    return Vote(
        weight=float(adds and predicts),
        measured=True,
        share=share,
        gain=gain,
        cases=cases,
        vehicles=len(shares),
        reason=("it adds " if adds else "it is not proven to add anything, ") + figures,
    )


def _vote(store: WindowStore, bundle: Bundle, params: Params) -> Vote:
    detect, trained = params.detect, bundle.params
    if "amad" not in detect.members:
        return Vote(weight=0.0, reason="detect.members does not name it")
    if detect.amad_weight != "auto":
        return Vote(weight=detect.amad_weight, reason="detect.amad_weight says so")
    if detect.smoothing == "trailing" and trained.model.direction == "both":
        why = "detect.smoothing is trailing, but it looks at both sides of a row; set "
        return Vote(weight=0.0, reason=why + "model.direction: past and train again")
    if not build_members(detect):
        return Vote(weight=1.0, reason="the detector has no other member")
    try:
        judge = InjectedObjective(
            store,
            trained.model_copy(update={"detect": detect}),
            CASES,
            params.seed + OTHER_FAULTS,
            vehicles=VEHICLES,
        )
        return judged_vote(judge.shares(bundle.model), judge.gains(bundle.model), params)
    except DataError as error:
        return Vote(weight=0.0, reason=f"it cannot be measured ({error})")
