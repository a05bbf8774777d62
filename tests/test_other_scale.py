"""Days of a vehicle on which a channel has another scale, as Fleet health tells them."""

from datetime import date, timedelta
from types import SimpleNamespace

import pyarrow as pa

from amad.telemetry.other_scale import scale_findings

MONDAY = date(2026, 1, 5)


def found(levels, *, spread=0.2, out_of_range=(), kind="continuous"):
    """What is found for a vehicle with these means by day."""
    rows = [
        {"vehicle": "v1", "channel": "volt", "date": MONDAY + timedelta(days=n), "mean": mean,
         "std": mean and spread * mean, "out_of_range": int(n in out_of_range)}
        for n, mean in enumerate(levels)
    ]  # fmt: skip
    channel = SimpleNamespace(name="volt", kind=kind)
    profile = pa.Table.from_pylist([*rows, rows[0] | {"channel": "other", "mean": 1e9}])
    return [(item.subject, item.text) for item in scale_findings(profile, SimpleNamespace(
        channels=[channel]))]  # fmt: skip


def test_days_of_another_scale_are_told_with_their_factor():
    told = [("v1 volt", "is about 1,000 times the size of its other days on 2026-01-07")]
    assert found([12, 13, 12500, 11, 14, 12]) == told
    assert found([12, 13, 0.0125, 11, 14, None]) == [
        ("v1 volt", "is about a 1,000th of its other days on 2026-01-07")
    ]


def test_other_days_are_no_days_of_another_scale():
    assert found([12, 13, 12500, 11, 14, 12], out_of_range=[2]) == []  # told by its range
    assert found([12, 13, 12500, 11, 14, 12], kind="counter") == []
    assert found([12, 13, 12500, 300, 14, 12]) == []  # it has levels between
    assert found([12, 13, 43, 11, 14, 12]) == []
    assert found([12, 13, 0.0125, 11, 14, 12], spread=0.0) == []  # does not move
