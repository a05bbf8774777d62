"""The methods that can be judged, by name: the baselines, and AMAD as shipped and in other forms.

A form of AMAD is a row of ``AMAD``: which settings of params.yaml it changes, and which members it
keeps. Everything else is as shipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from amad.baselines import baseline_names, make_baseline
from amad.config import ConfigError, Fleet, Params
from amad.config.yaml_file import parse
from amad.detect.detector import Detector, build_detector
from amad.detect.members.build import build_members
from amad.detect.scorer import Scorer
from amad.evaluation.harness import WITH, WITHOUT
from amad.evaluation.units import fitting_parts
from amad.windows.store import WindowStore

if TYPE_CHECKING:
    from amad.model.bundle import Bundle

DETECTOR, FLOOR = "amad", "random"
NETWORK = "amad"  # the network among ``detect.members``
DETERMINISTIC = ("l2", "linear", "mahalanobis", "pca", "relation", "ridge", "sensor_range")
NETWORK_BASELINES = (
    "anomaly_transformer", "anomaly_transformer_criterion", "cnn", "latad", "untrained",
)  # fmt: skip
FORMS: dict[str, dict[str, object]] = {
    "offline": {"detect.smoothing": "centred"},
    "online": {"detect.smoothing": "trailing"},
}
ONLINE_ROWS = 10  # a score that waits for so many later rows is not online
Members = Literal["shipped", "network", "others"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form of AMAD.

    changes: new values by dotted key of params.yaml. members: which members of the shipped detector
    are kept. criterion: the score is the paper's own criterion, not that of the evidence chain.
    """

    changes: Mapping[str, object] = field(default_factory=dict)
    members: Members = "shipped"
    criterion: bool = False


AMAD = {
    "amad": Form(),
    "amad_with_network": Form(changes={"detect.amad_weight": 1.0}),
    "amad_alone": Form(members="network"),
    "amad_without_network": Form(members="others"),
    "criterion": Form(
        changes={"loss.maxmin": 0.01, "loss.contrast": 0.1}, members="network", criterion=True
    ),
}
GROUPS = ("all", "baselines", "simple")
USUAL = ("baselines", "amad", WITH, "amad_alone", WITHOUT, "criterion")


def method_names() -> list[str]:
    """Every name, baselines first."""
    return [*baseline_names(), *(name for name in AMAD if name not in baseline_names())]


def simple_baselines() -> list[str]:
    """The baselines that train no network, without the floor."""
    return [name for name in baseline_names() if name not in (FLOOR, *NETWORK_BASELINES)]


def chosen_methods(names: Sequence[str]) -> list[str]:
    """The methods of these names and groups, each once.

    Raises:
        ConfigError: no such method; the message lists those there are.
    """
    groups = {
        "all": method_names(), "baselines": baseline_names(), "simple": simple_baselines(),
    }  # fmt: skip
    chosen: list[str] = []
    for name in names:
        if name not in groups and name not in method_names():
            raise ConfigError(
                f"--methods: there is no method {name!r}; accepted: {', '.join(method_names())}; "
                f"or a group: {', '.join(GROUPS)}"
            )
        chosen += groups.get(name, [name])
    return list(dict.fromkeys(chosen))


def settings_of(name: str, form: str, seed: int, params: Params) -> Params:
    """The params of one method in one form with one seed.

    Raises:
        ConfigError: this version does not accept what the method asks for.
    """
    changes: dict[str, object] = {"seed": seed, **FORMS[form]}
    if name in AMAD:
        changes |= AMAD[name].changes
        if AMAD[name].members == "network":
            changes["detect.members"] = [NETWORK]
            changes["detect.amad_weight"] = params.detect.vote or 1.0
        elif AMAD[name].members == "others":
            changes["detect.members"] = [m for m in params.detect.members if m != NETWORK]
        if form == "online":
            changes["model.direction"] = "past"  # the network only looks back
    return changed(params, changes, f"method {name}")


def changed(params: Params, changes: Mapping[str, object], what: str) -> Params:
    """The params with new values by dotted key. what: begins the message of an error.

    Raises:
        ConfigError: there is no such key, or it does not accept the value.
    """
    content = params.model_dump(mode="json")
    for key, value in changes.items():
        *path, last = key.split(".")
        section = content
        for part in path:
            section = section.setdefault(part, {})  # an unknown section is refused below
        section[last] = value
    return parse(Params, content, what)


def needs_network(name: str, params: Params) -> bool:
    """Is a network to be trained for this method? params: as shipped."""
    if name not in AMAD or AMAD[name].members == "others":
        return False
    may_vote = params.detect.amad_weight != 0  # with ``auto`` it is not decided yet
    return NETWORK in params.detect.members and (may_vote or name != DETECTOR)


def is_random(name: str, params: Params) -> bool:
    """Does its result depend on the seed?"""
    if name in AMAD and not needs_network(name, params):
        return False  # its members are all fitted in closed form
    return name not in DETERMINISTIC


def left_out(name: str, form: str, params: Params, fleet: Fleet, store: WindowStore) -> str | None:
    """Why a method has no such form, found before anything is trained; None where it has it."""
    if form != "online":
        return None
    if needs_network(name, params):
        if AMAD[name].criterion:
            return "it looks at both sides of a row: it has no online form"
        return None
    return looks_ahead(build(name, params, fleet, store, None))


def looks_ahead(detector: Scorer) -> str | None:
    """Why a detector cannot be called online; None where it can."""
    rows = detector.lookahead_rows
    if rows < ONLINE_ROWS:
        return None
    return f"a row's score depends on up to {rows} later rows: it has no online form"


def build(
    name: str, params: Params, fleet: Fleet, store: WindowStore, bundle: "Bundle | None"
) -> Scorer:
    """Build the unfitted detector. params: from ``settings_of``. bundle: None without a network."""
    if name not in AMAD:
        return make_baseline(name, params.detect, params.seed, fleet, store.scaler)
    if AMAD[name].criterion:
        from amad.baselines.criterion import criterion_detector

        return criterion_detector(bundle, params.detect)
    if bundle is not None:
        return build_detector(bundle, params.detect)
    members = build_members(params.detect)
    if not members:
        raise ConfigError("detect.members: without the network no member is left")
    return Detector(members, params.detect, fleet, store.scaler, name=name)


def closed_form(store: WindowStore, fleet: Fleet, params: Params) -> Detector:
    """The detector as shipped but without a network, fitted on the store.

    Raises:
        DataError: the store has no rows to fit it on.
    """
    detect = params.detect.model_copy(update={"amad_weight": 0.0})
    detector = Detector(build_members(detect), detect, fleet, store.scaler)
    return detector.fit(*fitting_parts(store))
