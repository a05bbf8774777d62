"""Columns of words: what a draft makes of them, and what ingest reads."""

import pyarrow as pa
import pytest
from draft_kit import ROWS, log, stamp, wave
from pydantic import ValidationError

from amad.config import Channel
from amad.draft.state_words import numbered
from amad.reading.codes import with_codes

MODES = ("auto", "Eco ", "sport")


def mode(n):
    return MODES[n // 20 % 3]


def values(field, fleet, name):
    lake = field.lake(fleet)
    (vehicle,) = lake.vehicles()
    return lake.read(vehicle)[name].to_pylist()


def test_a_column_of_a_few_words_is_a_channel(field):
    field.write("a.csv", log(mode=mode, door=lambda n: ("closed", "open")[n // 7 % 2]))
    fleet, told = field.draft()
    kinds = {channel.name: (channel.kind, channel.codes) for channel in fleet.channels[1:]}
    assert kinds == {
        "mode": ("categorical", {"auto": 0, "eco": 1, "sport": 2}),
        "door": ("binary", {"closed": 0, "open": 1}),
    }
    assert "guess: 'mode' (auto, eco, sport), 'door' (closed, open): words are read as" in told
    assert field.ingest(fleet).rows_rejected == 0
    assert values(field, fleet, "mode") == [n // 20 % 3 for n in range(ROWS)]


def test_a_word_without_a_number_refuses_its_row_and_names_the_key(field):
    field.write("a.csv", log(mode=mode))
    fleet, _ = field.draft()
    field.write("a.csv", log(mode=lambda n: "rocket" if n == 5 else "n/a" if n == 6 else mode(n)))
    counts = field.ingest(fleet)
    assert (counts.rows_lake, counts.rows_rejected) == (ROWS - 1, 1)
    (told,) = counts.first_rejected.values()
    assert "row 6 of a.csv: 'rocket'" in told and "belongs into the channel's codes" in told
    assert values(field, fleet, "mode")[5] is None


@pytest.mark.parametrize(
    "cell",
    [
        lambda n: "Sprinter",  # never changes
        lambda n: f"note {n}",  # too many
        lambda n: ("0x01", "0x02")[n // 9 % 2],  # no words
        lambda n: ("good", "bad")[n // 9 % 2],  # tells which values are good
        lambda n: "driver changed" if n == 9 else "fuel" if n == 99 else "",  # hardly any
    ],
)
def test_other_texts_are_no_states(field, cell):
    field.write("a.csv", log(text=cell))
    fleet, told = field.draft()
    assert len(fleet.channels) == 1 and "left out: 'text'" in told


def test_words_between_the_numbers_of_gears_have_numbers_of_their_own(field):
    gears = ("P", "R", "N", "1", "2", "3")
    field.write("a.csv", log(gear=lambda n: gears[n // 15 % 6]))
    fleet, _ = field.draft()
    codes = fleet.channels[1].codes
    assert (codes["1"], codes["2"], codes["3"]) == (1, 2, 3) and len({*codes.values()}) == 6
    assert field.ingest(fleet).rows_rejected == 0
    assert values(field, fleet, "gear") == [codes[gears[n // 15 % 6].lower()] for n in range(ROWS)]


def test_a_state_beside_signals_and_values_is_none(field):
    rows = [f"{stamp(n)},{s},{wave(n)}" for n in range(ROWS) for s in ("speed", "rpm")]
    field.write("a.csv", ["time,signal,value", *rows])
    assert field.draft()[0].channel_names == ["rpm", "speed"]


def test_numbers_of_words():
    assert numbered(["off", "2", "auto", "0"]) == {"2": 2, "0": 0, "auto": 1, "off": 3}
    told = with_codes(pa.array([" ON", None, "off", "x", "3"]), {"on": 7, "Off": 0})
    assert told.to_pylist() == ["7", None, "0", "x", "3"]
    column = pa.array([1.5])
    assert with_codes(column, {"on": 1}) is column


@pytest.mark.parametrize(
    ("kind", "codes", "why"),
    [
        ("continuous", {"a": 0}, "its kind must be categorical or binary"),
        ("binary", {"a": 0, "b": 2}, "its codes must be 0 and 1"),
        ("categorical", {"a": 0, " A": 2}, "tell 'a' twice"),
    ],
)
def test_codes_that_cannot_be_are_refused(kind, codes, why):
    with pytest.raises(ValidationError, match=why):
        Channel(name="mode", kind=kind, codes=codes)
