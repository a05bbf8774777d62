"""Late rows are counted the same in batches of any size as by their definition, time by time."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from amad.ingest.late_rows import Lateness
from amad.reading.rows import CleanRows
from amad.reading.times import DAY_US

MONDAY = 20_000 * DAY_US
row = st.tuples(st.integers(0, 2), st.integers(0, 11))  # vehicle, hours since Monday by eights


def counted(files, wrong):
    """Vehicle and day -> late rows, one row after the other."""
    newest, counts = {}, Counter()
    for rows in files:
        first, highest, last = {}, {}, dict(newest)
        for vehicle, at in rows:
            if (vehicle, at // 3) in wrong:
                continue
            is_late = at < highest.get(vehicle, -1)
            first.setdefault((vehicle, at), "late" if is_late else at < last.get(vehicle, -1))
            highest[vehicle] = max(at, highest.get(vehicle, -1))
        for (vehicle, at), late in first.items():
            is_new = highest[vehicle] > last.get(vehicle, -1)
            counts[f"v{vehicle}", 20_000 + at // 3] += late == "late" or (late and is_new)
        newest |= {v: max(at, last.get(v, -1)) for v, at in highest.items()}
    return +counts


@given(
    files=st.lists(st.lists(row, max_size=25), min_size=1, max_size=3),
    wrong=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=2),
    cut=st.integers(1, 9),
)
@settings(max_examples=300)
def test_late_rows_are_counted_time_by_time_whatever_the_batches(
    tmp_path_factory, files, wrong, cut
):
    lateness = Lateness({}, tmp_path_factory.getbasetemp() / "late")
    days = {f"v{v}": {20_000 + d for w, d in wrong if w == v} for v in range(3)}
    for rows in files:
        for start in range(0, len(rows), cut):
            vehicles, times = np.array(rows[start : start + cut]).T
            lateness.add(
                CleanRows(
                    vehicles=["v0", "v1", "v2"],
                    code_T=vehicles,
                    timestamp_T=MONDAY + times * (DAY_US // 3),
                    value_TC=np.zeros((len(times), 0)),
                    label_T=None,
                    row_T=np.arange(len(times)),
                )
            )
        lateness.end_file(days)
    assert +lateness.counts == counted(files, wrong)
