"""The champion beside the challenger: on the same data, and in what it was made of."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from evaluation_kit import evaluation_metrics, method_figures
from model_kit import toy_fleet
from scoring_kit import FLEET, series_of

from amad.config import Fleet, Params
from amad.engines.register.challenge import Defence, Defender, changes, defend, unlike
from amad.engines.shared import model_registry
from amad.engines.shared.tracking import connect
from amad.evaluation.evaluation_metrics import FaultFigures
from amad.telemetry.lake import Lake
from amad.windows.scaler import Scaler
from amad.windows.series import Series
from amad.windows.store import WindowStore, write_store


def test_the_champion_gets_its_own_channels_and_loses_no_precision_far_from_zero() -> None:
    """An odometer in metres: taken back to float32 it would be blurred by half a spread."""
    names = ["odometer", "speed"]
    figures = (np.full(len(names), 1e7, np.float32), np.full(len(names), 2.0, np.float32))
    scaler = Scaler(
        channels=names,
        tables={"vehicle": {}, "class": {}, "fleet": {"": figures}},
        has_channel={},
    )
    seen = []

    class Watched:
        def __init__(self) -> None:
            self.scaler = scaler

        def score(self, series):
            seen.append(series)

    value_TC = np.random.default_rng(0).normal(size=(50, len(names))).astype(np.float32)
    rows = np.zeros(50, np.int64)
    series = Series(
        vehicle="x", vehicle_class="y", timestamp_T=rows, value_TC=value_TC,
        valid_TC=np.ones_like(value_TC, np.uint8), segment_T=rows, split_T=rows,
    )  # fmt: skip
    Defender(Watched(), scaler).score(series)
    assert seen[0].value_TC.dtype == np.float32
    assert np.array_equal(seen[0].value_TC, value_TC)

    # A challenger has one more channel, and another order.
    wider = Scaler(
        channels=["speed", "soc", "odometer"],
        tables={"vehicle": {}, "class": {}, "fleet": {"": tuple(
            np.array([row[1], 5.0, row[0]]) for row in figures)}},
        has_channel={},
    )  # fmt: skip
    more_TC = np.stack([value_TC[:, 1], value_TC[:, 1], value_TC[:, 0]], axis=1)
    valid_TC = np.zeros((50, 3), np.uint8)
    valid_TC[:, 2] = 1
    Defender(Watched(), wider).score(replace(series, value_TC=more_TC, valid_TC=valid_TC))
    assert np.array_equal(seen[1].value_TC, value_TC)
    assert np.array_equal(seen[1].valid_TC, valid_TC[:, [2, 0]])


@pytest.mark.slow
def test_a_challenger_with_one_more_channel_meets_the_champion(place, tmp_path):
    """The champion is scored without it, as it is every night."""
    fleet, settings = place
    client, folder = connect(settings), settings.fleet_dir(FLEET)
    champion = model_registry.champion_version(client, FLEET)
    soc = fleet.channels[0].model_copy(update={"name": "soc"})
    newer = fleet.model_copy(update={"channels": [soc, *fleet.channels]})
    lake = Lake(folder / "lake", fleet)
    whole = [
        replace(
            series,
            value_TC=series.value_TC[:, [0, 0, 1, 2, 3]],
            valid_TC=series.valid_TC[:, [0, 0, 1, 2, 3]],
        )
        for series in series_of(fleet, lake)
    ]
    write_store(tmp_path / "store", whole, newer, Scaler.fit(whole, newer, "vehicle"), {})
    store = WindowStore.open(tmp_path / "store")
    theirs, problem = defend(client, champion, store, newer, lake.events())
    assert problem is None and theirs.unknown == ["soc"]
    values = [figures["vus_pr"] for figures in theirs.per_unit.values()]
    assert len(values) == 9 and min(values) > 0
    narrow = WindowStore.open(folder / "store")  # made before the fleet file got the channel back
    narrow.scaler.channels[0] = "velocity"
    assert defend(client, champion, narrow, fleet, lake.events()) == (
        None, "it has learnt speed, which the present data lacks"
    )  # fmt: skip


def test_it_says_what_each_finds_and_in_which_types_of_faults_they_differ() -> None:
    methods = {"amad": method_figures([0.5]), "random": method_figures([0.1])}
    typed = {
        fault: FaultFigures(
            events=4,
            events_found=found,
            event_recall=found / 4,
            median_delay_seconds=None,
            strengths={},
            methods={},
        )
        for fault, found in (("drift", 3), ("stuck", 1))
    }
    metrics = evaluation_metrics(methods).model_copy(update={"by_fault": typed})
    told = "known events found, each with its own threshold: challenger 10, champion "
    alike = {"": 10, "drift": 3, "stuck": 1}
    assert _defence(alike).events_found(metrics) == [f"{told}10 of 12"]
    assert _defence(alike | {"": 11, "stuck": 2}).events_found(metrics) == [
        f"{told}11 of 12; they differ in stuck 1 and 2 of 4"
    ]
    none = evaluation_metrics(methods, point={"events": 0, "events_found": 0})
    assert _defence(alike).events_found(none) == []


def test_it_says_which_settings_data_fleet_file_and_code_have_changed() -> None:
    tags = {"data": "9 rows", "data_hash": "a", "git_commit": "1234567890", "amad_version": "1"}
    champion = SimpleNamespace(version="3", tags=tags)
    ours = _detector({})
    assert changes(champion, _detector({}), ours, tags) == (
        "settings, data, fleet file and code are as they were since version 3"
    )
    lineage = tags | {"data": "12 rows", "data_hash": "b"}
    lineage |= {"git_commit": "abcdefghij", "amad_version": "2"}
    assert changes(champion, _detector({"seed": 6}), ours, lineage) == (
        "changed since version 3: seed 6 -> 7; data: 9 rows -> 12 rows; amad 1 -> 2; "
        "commit 12345678 -> abcdefgh"
    )
    told = changes(champion, _detector({}), ours, tags | {"data_hash": "b"})
    assert told == "changed since version 3: data: other values or events in 9 rows, as before"
    without = SimpleNamespace(bundle=None, params=Params().detect, fleet=toy_fleet())
    assert "model is new; prepare is new; seed None -> 7" in changes(champion, without, ours, tags)
    wider, narrower = _detector({}), _detector({})
    narrower.fleet = toy_fleet().model_copy(update={"channels": toy_fleet().channels[1:]})
    name = toy_fleet().channel_names[0]
    assert changes(champion, narrower, wider, tags).endswith(f"fleet file.channels.{name} is new")
    assert changes(champion, wider, narrower, tags).endswith(f"fleet file.channels.{name} is gone")
    older = SimpleNamespace(version="3", tags={})
    told = changes(older, _detector({"tune": {"trials": 2}}), ours, tags)
    assert told == ("changed since version 3: data: unknown -> 9 rows; commit unknown -> 12345678")


def test_a_channel_of_another_kind_is_told_and_makes_no_fair_comparison() -> None:
    """The store holds the increments of a counter, which the champion has never seen."""
    content = toy_fleet().model_dump(mode="json")
    content["channels"][1]["kind"] = "counter"
    content["channels"][2]["range"] = [0, 1]
    now = Fleet.model_validate(content)
    assert unlike(toy_fleet(), toy_fleet()) == []
    (told,) = unlike(toy_fleet(), now)
    assert told == "no fair comparison: two is counter now and was continuous for the champion"
    tags = {"data": "9 rows", "data_hash": "a", "git_commit": "1", "amad_version": "1"}
    ours = _detector({})
    ours.fleet = now
    assert changes(SimpleNamespace(version="3", tags=tags), _detector({}), ours, tags) == (
        "changed since version 3: fleet file.channels.three.range None -> [0.0, 1.0]; "
        "fleet file.channels.two.kind continuous -> counter"
    )


def test_a_vehicle_that_changed_its_class_is_told_by_the_names_of_the_classes() -> None:
    def of(*classes: tuple[str, list[str]]) -> SimpleNamespace:
        found = _detector({})
        listed = [{"name": name, "vehicles": patterns} for name, patterns in classes]
        content = toy_fleet().model_dump(mode="json") | {"vehicle_classes": listed}
        found.fleet = Fleet.model_validate(content)
        return found

    tags = {"data": "9 rows", "data_hash": "a", "git_commit": "1", "amad_version": "1"}
    champion = SimpleNamespace(version="3", tags=tags)
    a, b = ("a", ["*"]), ("b", ["v-1", "v-2"])
    assert changes(champion, of(b, a), of(("b", ["v-2"]), a), tags) == (
        "changed since version 3: fleet file.vehicle_classes.b.vehicles ['v-1', 'v-2'] -> ['v-2']"
    )
    assert changes(champion, of(b, a), of(a, b), tags) == (
        "changed since version 3: fleet file.order of classes ['b', 'a'] -> ['a', 'b']"
    )


def _defence(found: dict[str, int]) -> Defence:
    return Defence(detector=None, per_unit={}, found=found)


def _detector(changes: dict) -> SimpleNamespace:
    params = Params.model_validate(changes)
    bundle = SimpleNamespace(params=params)
    return SimpleNamespace(bundle=bundle, params=params.detect, fleet=toy_fleet())
