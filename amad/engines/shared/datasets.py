"""The data of a run as MLflow lists it: a name, a hash and a span of time.

The rows stay in the lake. The hash is that of the lake when ``prepare`` read it. The train and test
parts are two datasets with the same hash.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import (  # type: ignore[attr-defined]  # MLflow makes it at run time
    LocalArtifactDatasetSource,
)
from mlflow.entities import DatasetInput, InputTag
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from amad.config.number_text import day
from amad.windows.series import CALIBRATION, PURGED, TEST, TRAIN
from amad.windows.store import WindowStore

FITTED, JUDGED = (TRAIN, CALIBRATION), (TEST,)  # parts to fit a detector on, and to judge it on
EVERYTHING = (TRAIN, CALIBRATION, TEST, PURGED)


class Telemetry(MetaDataset):
    """A part of a fleet's telemetry. profile: its rows, vehicles, first and last date."""

    def __init__(self, profile: dict, **about: Any) -> None:
        self._profile = profile
        super().__init__(**about)

    @property
    def profile(self) -> dict:
        """Rows, vehicles, first and last date."""
        return self._profile

    def to_dict(self) -> dict[str, str]:
        """What MLflow stores."""
        return super().to_dict() | {"profile": json.dumps(self._profile)}


def data_hash(store: WindowStore) -> str:
    """The hash of the lake that the store was made of."""
    return str(store.meta.get("data_hash", store.digest))


def extent(store: WindowStore, parts: tuple[int, ...] = EVERYTHING) -> dict:
    """Rows on the grid, vehicles, first and last date of ``parts``; the dates are None if empty."""
    rows = vehicles = 0
    ends: list[int] = []
    for vehicle in store.vehicles:
        series = store.series(vehicle)
        index = np.flatnonzero(np.isin(series.split_T, parts))
        if len(index):
            rows, vehicles = rows + len(index), vehicles + 1
            ends += [int(series.timestamp_T[index[0]]), int(series.timestamp_T[index[-1]])]
    first, last = (day(min(ends)), day(max(ends))) if ends else (None, None)
    return {"rows": rows, "vehicles": vehicles, "first": first, "last": last}


def log_datasets(
    client: MlflowClient, run_id: str, store: WindowStore, lake: Path, *, judged: bool = False
) -> None:
    """List the fleet's train rows as inputs of a run; ``judged``: its test rows as well."""
    contexts = {"train": FITTED} | ({"test": JUDGED} if judged else {})
    inputs = [
        DatasetInput(
            dataset=telemetry(store, lake, context, parts)._to_mlflow_entity(),
            tags=[InputTag("mlflow.data.context", context)],
        )
        for context, parts in contexts.items()
    ]
    client.log_inputs(run_id, inputs)


def telemetry(store: WindowStore, lake: Path, context: str, parts: tuple[int, ...]) -> Telemetry:
    """The dataset of one context (``train`` or ``test``)."""
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string, "vehicle"), ColSpec(DataType.datetime, "timestamp")
    ]  # fmt: skip
    columns += [ColSpec(DataType.double, name, required=False) for name in store.channels]
    return Telemetry(
        extent(store, parts),
        source=LocalArtifactDatasetSource(str(lake)),
        name=f"{store.content['fleet']}/{context}",
        digest=data_hash(store),
        schema=Schema(columns),
    )
