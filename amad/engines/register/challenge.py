"""The metrics of the present champion on the challenger's test data: same rows, same faults.

The store's series, injected faults included, are scaled with the challenger's scaler. The champion
has its own scaler, so each series is converted to engineering units and scaled again for it.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from amad.config import DataError, Fleet
from amad.detect.daily import check_contract
from amad.detect.detector import Detector
from amad.detect.scorer import Scored
from amad.detect.storage import load_detector
from amad.engines.register.gate import PerUnit
from amad.engines.shared.model_registry import LostError, fetched, version_title
from amad.evaluation.harness import per_unit_metrics
from amad.windows.scaler import Scaler
from amad.windows.series import Series
from amad.windows.store import WindowStore


def defend(
    client: MlflowClient,
    champion: ModelVersion,
    store: WindowStore,
    fleet: Fleet,
    events: pa.Table,
) -> tuple[PerUnit | None, str | None]:
    """(the champion's metrics by unit, None), or (None, why it cannot be scored on this data).

    Raises:
        ServiceError: the store does not answer. It must not be mistaken for a champion that cannot
            be scored, or the challenger would be promoted.
    """
    try:
        with fetched(client, champion) as folder:
            try:
                detector = load_detector(folder, called=version_title(champion))
                check_contract(detector, fleet)
            except DataError as error:
                return None, str(error)
    except LostError as error:
        return None, str(error)
    if detector.fleet.period_us != fleet.period_us:
        return None, (
            f"it was made for a row every {detector.fleet.period_seconds:g} s, the fleet file now "
            f"says {fleet.period_seconds:g} s"
        )
    method = Defender(detector, store.scaler)
    return per_unit_metrics(store, method, fleet, events), None


class Defender:
    """A fitted detector that scores series scaled by another scaler than its own."""

    def __init__(self, detector: Detector, theirs: Scaler) -> None:
        self.detector = detector
        self.theirs = theirs

    def score(self, series: Series) -> Scored:
        """Score a series that ``theirs`` has scaled."""
        # In float64: on a channel far from zero, float32 would add noise to this detector's input
        # and not to the challenger's.
        value_TC = self.theirs.unscaled(series)
        assert self.detector.scaler is not None, "a saved detector has its scaler"
        scaled = self.detector.scaler.apply(replace(series, value_TC=value_TC))
        value_TC = scaled.value_TC.astype(np.float32)
        return self.detector.score(replace(scaled, value_TC=value_TC))
