"""The column that tells anomalies, by which a detector is judged."""

import re

import numpy as np

from amad.draft.sample import Sampled
from amad.reading.headers import name_and_unit
from amad.reading.numbers import NotReadableError, numbers

LABEL = re.compile(
    r"labels?|(is[ _]?)?(anomal(y|ies|ous)|attack|fault|outlier)|(anomaly|outlier)[ _](label|flag)"
    r"|change[ _-]?points?|normal ?/ ?attack|ground[ _]?truth",
    re.I,
)
NO_LABEL = "by its name it tells anomalies, which are read as 0 and 1: write it so, or rename it"
ANOTHER_LABEL = (
    "by its name it tells anomalies, as {!r} does, so as a channel it would tell the detector what "
    "it is judged by: rename it if it is measured"
)


def tells_anomalies(header: str) -> bool:
    """Has a column the name of a label?"""
    return LABEL.fullmatch(name_and_unit(header)[0].strip()) is not None


def why_no_label(label: str | None) -> str:
    """Why a column with the name of a label is neither read as one nor a channel."""
    return NO_LABEL if label is None else ANOTHER_LABEL.format(label)


def label_of(samples: list[Sampled], known: set[str]) -> str | None:
    """The first column of 0 and 1 that tells anomalies; None without one.

    One of points of change comes last: it tells only where anomalies begin.
    """
    for sample in samples:
        for header in sorted(sample.headers, key=lambda name: "change" in name.lower()):
            if header in known or not tells_anomalies(header):
                continue
            cells = [c for s in samples if (c := s.column(header)) is not None]
            try:
                told = [numbers(c) for c in cells]
                values = {v for t in told for v in np.unique(t.value_R)[:4].tolist() if v == v}
            except NotReadableError:
                continue
            if values and values <= {0.0, 1.0} and not any(t.bad_R.any() for t in told):
                return header
    return None
