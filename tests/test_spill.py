"""Rows by vehicle-day in bounded memory, and taken back where a clock was wrong."""

import numpy as np
import pytest

from amad.ingest import spill
from amad.ingest.spill import Spill
from amad.reading.rows import DAY_US, CleanRows

VEHICLES = ["a", "b"]


def rows_of(codes, days, first):
    number = np.arange(first, first + len(codes))
    return CleanRows(
        vehicles=VEHICLES,
        code_T=np.array(codes),
        timestamp_T=np.array(days) * DAY_US + number,
        value_TC=number[:, None] * np.ones((1, 2)),
        label_T=None,
        row_T=number,
    )


@pytest.mark.parametrize("buffer", [1, 150, 1 << 20])  # all, some or nothing on the disk before
def test_rows_are_taken_back_wherever_they_are(buffer, tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "BUFFER_BYTES", buffer)
    held = Spill(tmp_path, 2)
    held.add(rows_of([0, 0, 1, 0], [7, 8, 7, 7], first=0), 0)
    held.add(rows_of([0, 1, 0], [7, 7, 9], first=10), 1)
    held.add(rows_of([0, 0], [7, 9], first=20), 1)
    assert held.withdraw("a", 7, 1).row_T.tolist() == [10, 20]
    assert held.withdraw("a", 9, 1).value_TC[:, 1].tolist() == [12, 21]
    held.add(rows_of([0], [7], first=30), 2)
    held.flush()
    assert held.days() == [("a", 7), ("a", 8), ("b", 7)]
    kept = held.rows("a", 7)
    assert kept is not None and kept.row_T.tolist() == [0, 3, 30]
    assert kept.file_T.tolist() == [0, 0, 2]
    assert held.rows("a", 9) is None


def test_taking_rows_back_from_many_files_opens_none_for_each(tmp_path):
    held = Spill(tmp_path, 2)
    for file in range(500):
        held.add(rows_of([0, 0], [1, 7], first=0), file)
        held.withdraw("a", 1, file)
    held.add(rows_of([0], [3], first=0), 500)
    held.withdraw("a", 3, 500)
    held.flush()
    assert len(list(tmp_path.glob("*.rows"))) == 1 and held.days() == [("a", 7)]


@pytest.mark.parametrize("turn", [1, -1])  # the files of the vehicles in order, and against it
@pytest.mark.parametrize("most", [1, 64])  # are rows that go back to a vehicle-day sorted?
@pytest.mark.parametrize("buffer", [1, 300, 1 << 20])
def test_each_row_is_read_back_with_all_that_belongs_to_it(
    turn, most, buffer, tmp_path, monkeypatch
):
    monkeypatch.setattr(spill, "BUFFER_BYTES", buffer)
    monkeypatch.setattr(spill, "MOST_STRETCHES", most)
    held, files = Spill(tmp_path, 2), [([0, 0, 0], [7, 7, 8]), ([0, 0], [8, 8]), ([1, 1], [7, 9])]
    order = files[::turn]
    for number, (codes, days) in enumerate(order):
        held.add(rows_of(codes, days, first=10 * number), number)
    held.flush()
    told = [
        (VEHICLES[code], day, number, 10 * number + n)
        for number, (codes, days) in enumerate(order)
        for n, (code, day) in enumerate(zip(codes, days, strict=True))
    ]
    found = []
    for vehicle, day in held.days():
        rows = held.rows(vehicle, day)
        found += [(vehicle, day, *pair) for pair in zip(rows.file_T, rows.row_T, strict=True)]
        assert (rows.timestamp_T == day * DAY_US + rows.row_T).all()
        assert (rows.value_TC == rows.row_T[:, None]).all() and not rows.label_T.any()
        assert rows.value_TC.shape == (len(rows.row_T), 2)
    assert found == sorted(told)
