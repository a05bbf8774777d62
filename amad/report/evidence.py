"""What the earlier stages say of the model and of the data, for the version that scored.

A training removes what the one before has left, and may register a version that never scores. So
the figures of each version that has scored are kept in ``runs/<fleet>/figures``, by the digest of
its detector, as long as there are scores of it.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from amad.config import DataError
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.report.scoring_run import ScoringRun
from amad.report.unread import Unread
from amad.scores.receipts import RegistrationReceipt
from amad.telemetry.artifact import Artifact
from amad.telemetry.files import listed
from amad.telemetry.validation import Validation


class Figures(Artifact):
    """What was measured of a version, and the receipt of its registration."""

    FILE: ClassVar[str] = "figures"
    REMEDY: ClassVar[str] = "delete it"
    SEALED: ClassVar[bool] = True

    metrics: EvaluationMetrics
    receipt: RegistrationReceipt


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The artifacts of the earlier stages; None where a stage has not run.

    version: of the figures, where they are kept ones; else they are of the version of the receipt.
    """

    metrics: EvaluationMetrics | None
    receipt: RegistrationReceipt | None
    validation: Validation | None
    version: str = ""

    @classmethod
    def read(cls, folder: Path, unread: Unread) -> Self:
        """From ``data/<fleet>``; None for each file that cannot be read, which ``unread`` names.

        Figures of a detector that is not registered yet are left out.
        """
        metrics = unread.read(lambda: EvaluationMetrics.read(folder))
        receipt = unread.read(lambda: RegistrationReceipt.read(folder))
        if metrics and receipt and metrics.detector_digest != receipt.detector_digest:
            metrics = None
        validation = unread.read(lambda: Validation.read(folder))
        return cls(metrics=metrics, receipt=receipt, validation=validation)

    def of(self, run: ScoringRun, unread: Unread) -> Self:
        """The same with the figures of the version that scored, where any are at hand."""
        own = self.metrics is not None and run.detector in ("", self.metrics.detector_digest)
        if own and self.of_another(run) is None:
            return self
        kept = unread.read(lambda: Figures.read_file(_file(run)))
        if run.detector and kept is not None:
            receipt = self.receipt or kept.receipt
            return replace(self, metrics=kept.metrics, receipt=receipt, version=run.version)
        return self if own or self.receipt is not None else replace(self, metrics=None)

    def keep(self, run: ScoringRun, detectors: Collection[str]) -> None:
        """Keep the figures, if they are of the version that scored.

        detectors: the digests of those of which there are scores; figures of others go.
        """
        metrics, receipt = self.metrics, self.receipt
        if metrics is None or receipt is None or str(receipt.version) != run.version:
            return
        if run.detector and run.detector == metrics.detector_digest:
            now = Figures(metrics=metrics, receipt=receipt)
            with suppress(DataError):  # a damaged one is written anew
                if Figures.read_file(_file(run)) == now:
                    return
            now.write_file(_file(run))
            for file in listed(run.runs / Figures.FILE, "*.json"):
                if file.stem not in detectors:
                    file.unlink()

    def of_another(self, run: ScoringRun) -> str | None:
        """The version that the figures belong to, if another one has scored; else None."""
        version = self.version or ("" if self.receipt is None else str(self.receipt.version))
        return version if run.version and version not in ("", run.version) else None


def _file(run: ScoringRun) -> Path:
    return run.runs / Figures.FILE / f"{run.detector}.json"
