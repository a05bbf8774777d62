"""The registered model: MLflow's ``pyfunc`` over a detector folder, without pickle.

``data`` of the logged model is the folder that ``Detector.save`` wrote, ``code`` holds the amad
package: a scoring server needs nothing else. The frame that goes in has the lake's columns::

    model = mlflow.pyfunc.load_model("models:/amad-demo@champion")
    scores = model.predict(frame)  # vehicle, timestamp, one number a channel -> schemas.SCORES

Timestamps are UTC and carry no zone: MLflow refuses those that do. All rows given are scored, each
with what was given before it as its history; give ``context_rows`` (in the model's metadata) rows
of history for the scores of the scheduled job.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from amad.config import DataError
from amad.detect.daily import score_table
from amad.detect.detector import Detector
from amad.telemetry.schemas import SCORES, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd


class DetectorModel:
    """What ``mlflow.pyfunc.load_model`` wraps."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def predict(self, frame: "pd.DataFrame", params: dict | None = None) -> "pd.DataFrame":
        """Score rows of any number of vehicles; the answer has a row for each, in their order.

        frame: vehicle, timestamp (UTC), a numeric column per channel; NaN is a missing value.

        Raises:
            DataError: a column is missing, or a vehicle has two rows of one timestamp.
        """
        import pandas as pd

        channels = self.detector.fleet.channel_names
        missing = [n for n in ("vehicle", "timestamp", *channels) if n not in frame.columns]
        if missing:
            raise DataError(f"the frame to score lacks the columns {', '.join(missing)}")
        times = pd.to_datetime(frame["timestamp"], utc=True).astype("datetime64[us, UTC]")
        frame = frame.assign(timestamp=times).reset_index(drop=True)
        order, parts = [], []
        for vehicle, rows in frame.groupby("vehicle", sort=True):
            rows = rows.sort_values("timestamp", kind="stable")
            if rows["timestamp"].duplicated().any():
                raise DataError(f"vehicle {vehicle}: two rows of the frame have one timestamp")
            parts.append(score_table(self.detector, str(vehicle), self._lake_rows(rows)).table)
            order.append(rows.index.to_numpy())
        scores = pa.concat_tables([SCORES.empty_table(), *parts]).to_pandas()
        scores.index = pd.Index([row for rows in order for row in rows], dtype="int64")
        return scores.assign(timestamp=scores["timestamp"].dt.tz_localize(None)).sort_index()

    def _lake_rows(self, rows: "pd.DataFrame") -> pa.Table:
        columns = {"timestamp": pa.array(rows["timestamp"]).cast(TIMESTAMP)}
        for name in self.detector.fleet.channel_names:
            values = rows[name].to_numpy(dtype="float64", na_value=float("nan"))
            columns[name] = pa.array(values, pa.float64(), from_pandas=True)
        return pa.table(columns)


def _load_pyfunc(data_path: str) -> DetectorModel:
    return DetectorModel(Detector.load(Path(data_path)))
