"""The registered model: MLflow's ``pyfunc`` over a detector folder, without pickle.

``data`` of the logged model is the folder that ``save_detector`` wrote, and ``code`` holds the amad
package, so a scoring server needs nothing else. The input frame has the columns of the lake::

    model = mlflow.pyfunc.load_model("models:/amad-demo@champion")
    scores = model.predict(frame)  # vehicle, timestamp, a column per channel

The result has one row per input row, in the same order and with the same index. Its columns are
those of ``schemas.SCORES`` and ``message``, which says what was wrong with a row, or is None. A row
that cannot be scored has the status ``refused``; the other rows are still scored.

- vehicle: text, a number or a category. Rows without a vehicle are refused.
- timestamp: with a zone or without (then it is UTC), or ISO 8601 text. Rows without a readable
  timestamp are refused. If rows of a vehicle have the same time, the first one is scored and the
  others are refused.
- channels: numbers of any type, booleans, or text that is a number. Values that are no number,
  infinite, or impossible for the channel count as missing, and ``message`` says so.
- A channel may be missing from the frame if the vehicle's class does not have it. If the class has
  it, the vehicle's rows are refused; give a column of nulls where nothing was measured.

All given rows are scored, each with the rows before it as its history. To get the scores of the
scheduled job, give ``context_rows`` (in the model's metadata) rows of history.
"""

import logging
from numbers import Number
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from amad.config import DataError
from amad.detect.detector import Detector
from amad.detect.detector_folder import folder_digest, load_detector
from amad.scores.daily import score_table
from amad.telemetry.schemas import REFUSED, SCORES, TIMESTAMP
from amad.telemetry.valid_values import is_null_word, is_outside

logger = logging.getLogger(__name__)


class DetectorModel:
    """What ``mlflow.pyfunc.load_model`` wraps."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def predict(self, frame: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        """Score rows of any number of vehicles, by the rules of the module.

        Raises:
            DataError: the frame has no column ``vehicle`` or ``timestamp``.
        """
        missing = [name for name in ("vehicle", "timestamp") if name not in frame.columns]
        if missing:
            raise DataError(f"the frame to score lacks the columns {', '.join(missing)}")
        index, frame = frame.index, frame.reset_index(drop=True)
        rows = pd.DataFrame(
            {"vehicle": _vehicles(frame["vehicle"]), "timestamp": _timestamps(frame["timestamp"])}
        )
        message = pd.Series([None] * len(rows), dtype=object)
        message[rows["timestamp"].isna()] = "the timestamp is missing, or neither time nor ISO text"
        message[rows["vehicle"].isna()] = "the vehicle is missing"
        again = rows[message.isna()].duplicated()
        message[again.index[again]] = "the vehicle has this time already: its first row is scored"
        order, parts = [], []
        for vehicle, own in rows[message.isna()].groupby("vehicle", sort=True):
            own = own.sort_values("timestamp", kind="stable")
            try:
                table, notes = self._lake_rows(vehicle, frame.loc[own.index], own["timestamp"])
                parts.append(score_table(self.detector, vehicle, table).table)
                order.append(own.index.to_numpy())
                message[own.index] = notes
            except Exception as error:  # the rows of other vehicles are still scored
                if not isinstance(error, DataError):
                    logger.exception("vehicle %s cannot be scored", vehicle)
                reason = " ".join(str(error).split()) or type(error).__name__
                message[own.index] = f"vehicle {vehicle}: {reason}"
        left = rows.drop(np.concatenate(order)) if order else rows
        parts.append(_refused(left))
        order.append(left.index.to_numpy())
        scores = pa.concat_tables(parts).to_pandas()
        scores.index = np.concatenate(order)
        scores = scores.assign(timestamp=scores["timestamp"].dt.tz_localize(None)).sort_index()
        return scores.assign(message=message).set_axis(index)

    def _lake_rows(
        self, vehicle: str, frame: pd.DataFrame, timestamp: pd.Series
    ) -> tuple[pa.Table, np.ndarray]:
        """The rows of one vehicle as the lake would hold them, and the message for each."""
        fleet = self.detector.fleet
        has_C = fleet.has_channel(fleet.class_of(vehicle))
        own = [channel for channel, has in zip(fleet.channels, has_C, strict=True) if has]
        absent = [channel.name for channel in own if channel.name not in frame.columns]
        if absent:
            raise DataError(
                f"the frame has no column {', '.join(absent)}, which its class has; give a column "
                "of nulls where nothing was measured"
            )
        columns = {"timestamp": pa.array(timestamp).cast(TIMESTAMP)}
        notes = np.full(len(frame), None, dtype=object)
        for channel, has in zip(fleet.channels, has_C, strict=True):
            value_R = np.full(len(frame), np.nan)
            if has:
                value_R, text_R = _numbers(frame[channel.name])
                outside_R = is_outside(value_R, channel) & ~is_null_word(value_R, channel)
                _note(notes, text_R, f"{channel.name} is no number and counts as missing")
                _note(notes, outside_R, f"{channel.name} cannot be so and counts as missing")
            columns[channel.name] = pa.array(value_R, pa.float64(), from_pandas=True)
        return pa.table(columns), notes


def _vehicles(column: pd.Series) -> pd.Series:
    """Ids as text, None where there is no id; 7 and 7.0 are the same vehicle."""

    def as_text(value: object) -> str | None:
        if pd.api.types.is_list_like(value) or pd.isna(value) or value == "":
            return None
        if isinstance(value, float | np.floating) and float(value).is_integer():
            return str(int(value))
        return str(value)

    return pd.Series([as_text(value) for value in column], dtype=object)


def _timestamps(column: pd.Series) -> pd.Series:
    """Times in UTC, microseconds; NaT where there is no time, or a number, which has no unit."""
    if not pd.api.types.is_datetime64_any_dtype(column):
        times = [None if isinstance(value, Number) else value for value in column]
        column = pd.Series(times, dtype=object)
    times = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    return times.astype("datetime64[us, UTC]")


def _numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """(float64 with NaN for null, True for values that are not null but no number)."""
    if pd.api.types.is_numeric_dtype(column):
        value_R = column.astype("float64" if isinstance(column.dtype, np.dtype) else "Float64")
    else:
        value_R = pd.to_numeric(column.astype(object), errors="coerce")
    value_R = value_R.to_numpy("float64", na_value=np.nan)
    return value_R, np.isnan(value_R) & column.notna().to_numpy()


def _note(notes: np.ndarray, where: np.ndarray, text: str) -> None:
    for row in np.flatnonzero(where):
        notes[row] = text if notes[row] is None else f"{notes[row]}; {text}"


def _refused(rows: pd.DataFrame) -> pa.Table:
    """Score rows for rows that cannot be scored."""
    count = len(rows)
    no, nothing = pa.array(np.zeros(count, bool)), pa.array([[]] * count, pa.list_(pa.null()))
    columns = {
        "vehicle": pa.array(rows["vehicle"], pa.string()),
        "timestamp": pa.array(rows["timestamp"], TIMESTAMP),
        "score": pa.nulls(count, pa.float32()),
        "threshold": pa.nulls(count, pa.float32()),
        "alarm": no,
        "imputed": no,
        "status": pa.array([REFUSED] * count, pa.string()),
        "top_channels": nothing,
        "top_shares": nothing,
    }
    return pa.table(columns).cast(SCORES)


def _load_pyfunc(data_path: str) -> DetectorModel:
    """Load the detector of a logged model; MLflow calls this.

    Raises:
        DataError: its files are not those that were registered.
    """
    folder = Path(data_path)
    about = folder.parents[1] / "MLmodel"
    content = yaml.safe_load(about.read_text(encoding="utf-8")) if about.is_file() else {}
    wanted = (content.get("metadata") or {}).get("detector_digest")
    if wanted is not None and (found := folder_digest(folder)) != wanted:
        raise DataError(
            f"{folder}: the detector has the digest {found}, and {wanted} was registered; fetch "
            "the model again, or bring a backup of it back"
        )
    return DetectorModel(load_detector(folder, to_score=True))
