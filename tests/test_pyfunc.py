"""The registered model takes the frames that people have, and tells of each row."""

import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from engine_kit import with_tracking_store
from mlflow.models import convert_input_example_to_serving_input, validate_serving_input
from mlflow.models.utils import load_serving_example
from scoring_kit import make_artifacts, make_lake, read_json

from amad.config import DataError
from amad.engines.shared import model_registry
from amad.engines.shared.tracking import connect
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import REFUSED
from pipelines import register

ROWS = 400
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    """(the loaded champion, where its files lie, rows of vehicle a-1 as the lake has them)."""
    home = tmp_path_factory.mktemp("served") / "home"
    fleet, settings = make_lake(with_tracking_store(home))
    register.run(make_artifacts(fleet, settings), settings)
    client = connect(settings)
    version = model_registry.champion_version(client, "nights")
    uri = client.get_model_version_download_uri(version.name, version.version)
    path = list(sys.path)
    model = mlflow.pyfunc.load_model(uri)
    sys.path[:] = path
    rows = Lake(settings.fleet_dir("nights") / "lake", fleet).read("a-1").to_pandas().head(ROWS)
    rows.insert(0, "vehicle", "a-1")
    return model, Path(uri.removeprefix("file://")), rows


@pytest.fixture
def model(served):
    """What MLflow loads, its signature enforced."""
    return served[0]


@pytest.fixture
def rows(served) -> pd.DataFrame:
    """Rows that all have a score."""
    return served[2].copy()


def told(out: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The answer, after a look at what always holds: a row each, the order, the index."""
    assert len(out) == len(frame)
    assert out.index.equals(frame.index)
    assert list(out.columns) == [
        "vehicle", "timestamp", "score", "threshold", "alarm", "imputed", "status",
        "top_channels", "top_shares", "message",
    ]  # fmt: skip
    refused = out["status"] == REFUSED
    assert out.loc[refused, "score"].isna().all() and not out.loc[refused, "alarm"].any()
    assert out.loc[refused, "message"].notna().all()
    return out


def same_scores(model, frame: pd.DataFrame, rows: pd.DataFrame) -> None:
    """The frame says the same as ``rows``, in another form."""
    out, wanted = told(model.predict(frame), frame), model.predict(rows)
    np.testing.assert_array_equal(out["score"], wanted["score"])
    assert (out["status"] == "scored").all() and out["message"].isna().all()
    times = rows["timestamp"].dt.tz_convert("UTC").dt.tz_localize(None)
    np.testing.assert_array_equal(out["timestamp"], times)


def test_times_in_any_form_are_the_same_times(model, rows):
    stamp = rows["timestamp"]
    forms = {
        "naive is UTC": stamp.dt.tz_localize(None),
        "another zone": stamp.dt.tz_convert("Asia/Kolkata"),
        "nanoseconds": stamp.astype("datetime64[ns, UTC]"),
        "text with a zone": stamp.dt.tz_convert("Europe/Berlin").map(str),
        "text without": stamp.dt.tz_localize(None).map(datetime.isoformat),
        "python's own": pd.Series([s.to_pydatetime() for s in stamp], dtype=object),
        "mixed": pd.Series([str(s) if n % 2 else s for n, s in enumerate(stamp)], dtype=object),
    }
    for form in forms.values():
        same_scores(model, rows.assign(timestamp=form), rows)


@pytest.mark.parametrize("kind", ["int64", "int32", "uint16", "Int64", "float32", object, "text"])
def test_numbers_of_any_type_are_numbers(model, rows, kind):
    whole = rows.assign(heat=rows["heat"].round())
    form = whole["heat"].astype("int64")
    form = form.map(str) if kind == "text" else form.astype(kind)
    same_scores(model, whole.assign(heat=form), whole)
    same_scores(model, whole.assign(heat=[Decimal(int(value)) for value in whole["heat"]]), whole)


def test_a_boolean_is_0_or_1_and_null_is_missing(model, rows):
    hot = rows["heat"] > 80
    numbers = rows.assign(heat=hot.astype(float))
    same_scores(model, rows.assign(heat=hot), numbers)
    numbers.loc[50:60, "heat"] = np.nan
    with_null = hot.astype("boolean")
    with_null[50:61] = pd.NA
    same_scores(model, rows.assign(heat=with_null), numbers)
    as_objects = pd.Series([None if pd.isna(v) else bool(v) for v in with_null], dtype=object)
    same_scores(model, rows.assign(heat=as_objects), numbers)


def test_a_channel_that_the_class_lacks_may_be_there_or_not(model, rows):
    same_scores(model, rows.drop(columns="charge"), rows)
    same_scores(model, rows.assign(charge=None), rows)
    same_scores(model, rows.assign(charge="n/a"), rows)
    same_scores(model, rows.assign(extra="what is this?"), rows)


def test_a_channel_that_the_class_has_must_be_there(model, rows):
    """For the vehicles of that class: the others are scored."""
    other = rows.assign(vehicle="b-1", charge=40.0)
    both = pd.concat([rows, other], ignore_index=True).drop(columns="charge")
    out = told(model.predict(both), both)
    assert (out["status"][:ROWS] == "scored").all()
    assert (out["status"][ROWS:] == REFUSED).all()
    assert "no column charge" in out["message"].iloc[-1]
    assert "a column of nulls" in out["message"].iloc[-1]


def test_ids_that_are_no_text(model, rows):
    out = told(model.predict(rows.assign(vehicle=7)), rows)
    assert set(out["vehicle"]) == {"7"} and (out["status"] == "scored").all()
    gaps = rows.assign(vehicle=[7.0] * (ROWS - 1) + [np.nan])
    out = told(model.predict(gaps), gaps)
    assert out["vehicle"][: ROWS - 1].tolist() == ["7"] * (ROWS - 1)
    assert out["vehicle"].isna().tolist() == [False] * (ROWS - 1) + [True]
    same_scores(model, rows.assign(vehicle=rows["vehicle"].astype("category")), rows)


def test_rows_without_vehicle_or_time_are_told_and_harm_no_other(model, rows):
    frame = rows.astype({"vehicle": object, "timestamp": object})
    frame.loc[[5, 6], "vehicle"] = [None, ""]
    frame.loc[[7, 8, 9], "timestamp"] = [pd.NaT, "last Tuesday", 1_767_000_000]
    out = told(model.predict(frame), frame)
    bad = [5, 6, 7, 8, 9]
    assert out.index[out["status"] == REFUSED].tolist() == bad
    assert out["message"][[5, 6]].tolist() == ["the vehicle is missing"] * 2
    assert out["message"][[7, 8, 9]].str.contains("timestamp is missing, or neither").all()
    assert out["timestamp"].isna().tolist() == [row in (7, 8, 9) for row in range(ROWS)]
    alone = rows.drop(index=bad)
    np.testing.assert_array_equal(out["score"].drop(bad), model.predict(alone)["score"])


def test_numbers_are_no_times(model, rows):
    """Of which unit would they be?"""
    frame = rows.assign(timestamp=rows["timestamp"].astype("int64"))
    assert (told(model.predict(frame), frame)["status"] == REFUSED).all()


def test_a_repeated_time_is_told_and_the_first_row_is_scored(model, rows):
    frame = pd.concat([rows, rows.head(3).assign(speed=0.0)])  # its index repeats as well
    out = told(model.predict(frame), frame)
    assert (out["status"].iloc[-3:] == REFUSED).all()
    assert out["message"].iloc[-3:].str.contains("its first row is scored").all()
    np.testing.assert_array_equal(out["score"].iloc[:-3], model.predict(rows)["score"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.inf, "cannot be so"),
        (-np.inf, "cannot be so"),
        (1e30, "cannot be so"),
        ("off", "is no number"),
        (Decimal("Infinity"), "cannot be so"),
    ],
)
def test_a_value_that_cannot_be_counts_as_missing_and_is_told(model, rows, value, text):
    frame = rows.astype({"speed": object})
    frame.loc[100:103, "speed"] = value
    missing = rows.copy()
    missing.loc[100:103, "speed"] = np.nan
    out = told(model.predict(frame), frame)
    np.testing.assert_array_equal(out["score"], model.predict(missing)["score"])
    assert out.index[out["message"].notna()].tolist() == [100, 101, 102, 103]
    assert set(out["message"][100:104]) == {f"speed {text} and counts as missing"}
    assert out["imputed"][100:104].all()


def test_a_channel_that_is_all_infinite_is_told_on_every_row(model, rows):
    frame = rows.assign(heat=np.inf)
    out = told(model.predict(frame), frame)
    assert out["message"].str.contains("heat cannot be so").all() and out["imputed"].all()
    frame = rows.assign(heat=[1e300 if 100 <= n < 104 else v for n, v in enumerate(rows["heat"])])
    out = told(model.predict(frame), frame)  # beyond float32, and the channel has no range
    assert (out["status"] == "scored").all()
    assert out["message"].notna().sum() == 4


def test_one_vehicle_that_cannot_be_scored_fails_alone(model, rows, monkeypatch):
    from amad.engines.register import pyfunc_model

    score_table = pyfunc_model.score_table

    def broken(detector, vehicle, table):
        if vehicle == "a-2":
            raise ZeroDivisionError("a trouble of its own")
        return score_table(detector, vehicle, table)

    monkeypatch.setattr(pyfunc_model, "score_table", broken)
    both = pd.concat([rows.assign(vehicle="a-2"), rows], ignore_index=True)
    out = told(model.predict(both), both)
    assert (out["status"][:ROWS] == REFUSED).all() and (out["status"][ROWS:] == "scored").all()
    assert set(out["message"][:ROWS]) == {"vehicle a-2: a trouble of its own"}


def test_any_order_and_any_index(model, rows):
    both = pd.concat([rows, rows.assign(vehicle="a-2")])
    mixed = both.sample(frac=1, random_state=1)
    out = told(model.predict(mixed), mixed)
    one = out[out["vehicle"] == "a-1"].sort_index()
    np.testing.assert_array_equal(one["score"], model.predict(rows)["score"])
    named = rows.set_axis([f"row {n}" for n in range(ROWS)])
    told(model.predict(named), named)
    told(model.predict(rows.head(0)), rows.head(0))
    assert told(model.predict(rows.head(1)), rows.head(1))["status"].tolist() == ["too_short"]


def test_a_frame_without_its_keys_is_refused(model, rows):
    with pytest.raises(Exception, match="vehicle"):  # by MLflow
        model.predict(rows.drop(columns="vehicle"))
    with pytest.raises(DataError, match="lacks the columns vehicle, timestamp"):
        model._model_impl.predict(rows[["speed"]])


def test_the_input_example_is_valid_and_so_is_any_frame_sent_to_a_server(served, rows):
    _, folder, _ = served
    example = load_serving_example(str(folder))
    out = validate_serving_input(str(folder), example)
    assert len(out) and set(out["status"]) <= {"scored", "too_short"}
    out = validate_serving_input(str(folder), convert_input_example_to_serving_input(rows))
    assert (out["status"] == "scored").all()
    assert read_json(folder / "input_example.json")["columns"][:2] == ["vehicle", "timestamp"]


def test_a_flipped_byte_of_a_fetched_model_is_refused(served):
    _, folder, _ = served
    file = folder / "data" / "detector" / "state.safetensors"
    sound = file.read_bytes()
    file.write_bytes(sound[:-9] + bytes([sound[-9] ^ 1]) + sound[-8:])
    try:
        with pytest.raises(DataError, match=r"has the digest .* was registered"):
            mlflow.pyfunc.load_model(str(folder))
    finally:
        file.write_bytes(sound)
