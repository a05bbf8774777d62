"""Files of InfluxDB's line protocol: what is drafted and read of them."""

import json

import pytest
from draft_kit import MONDAY, ROWS, Field, wave

from amad.reading.line_protocol import as_json, is_line

START_NS = 1_767_600_000_000_000_000  # MONDAY


@pytest.fixture
def field(tmp_path):
    return Field(tmp_path)


def lines(*told):
    return [line for n in range(ROWS) for line in (t(n) for t in told)]


def at(n):
    return START_NS + n * 1_000_000_000


def test_fields_are_channels_and_a_tag_is_the_vehicle(field):
    rows = lines(
        lambda n: f"can,vehicle=v\\ 1 speed={wave(n)},gear={n // 60}i,on={n % 40 < 9} {at(n)}",
        lambda n: f"can,host=a,vehicle=v2 speed={wave(n + 5)},gear=2i {at(n)}",
    )
    field.write("a.lp", ["# DML", "# CONTEXT-DATABASE: cars", *rows])
    fleet, _ = field.draft()
    assert fleet.source.container == "json"
    assert [c.header for c in fleet.channels] == ["can.speed", "can.gear", "can.on"]
    result = field.ingest(fleet)
    assert (result.rows_lake, result.rows_rejected) == (2 * ROWS, 0)
    lake = field.lake(fleet)
    assert lake.vehicles() == ["v 1", "v2"]
    first = field.first_row(fleet)
    assert first["timestamp"].replace(tzinfo=None) == MONDAY
    values = [first[name] for name in fleet.channel_names]
    assert values == pytest.approx([wave(0), 0, 1])


def test_a_measurement_for_each_quantity_fills_one_row(field):
    field.write(
        "a.txt",
        lines(
            lambda n: f"speed,vehicle=v1 value={wave(n)} {at(n)}",
            lambda n: f"temp,vehicle=v1 value={wave(n, 70, 90)} {at(n)}",
        ),
    )
    fleet, _ = field.draft()
    assert [c.header for c in fleet.channels] == ["speed.value", "temp.value"]
    result = field.ingest(fleet)
    assert (result.rows_lake, result.rows_merged) == (ROWS, ROWS)


def test_a_line_that_is_none_is_refused_alone(field):
    rows = lines(lambda n: f"can,vehicle=v1 speed={wave(n)},temp={wave(n, 70, 90)} {at(n)}")
    rows[7] = "can,vehicle=v1 speed=1.5.5,temp=70 " + str(at(7))
    rows[9] = "can,vehicle=v1 speed"
    field.write("a.lp", rows)
    result = field.ingest(field.draft()[0])
    assert (result.rows_lake, result.rows_rejected) == (ROWS - 2, 2)


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_row_is_the_same_wherever_pieces_end(size):
    data = b'# a\nm\\,x,a\\=b=c\\ d f="p, \\"q\\" = r",g=3u,h=F,i=-1.5e3 17\n\nm g=t 18'
    pieces = (data[k : k + size] for k in range(0, len(data), size))
    told = [json.loads(line) for line in b"".join(as_json(pieces)).splitlines()]
    first = {"m,x.f": 'p, "q" = r', "m,x.g": 3, "m,x.h": False, "m,x.i": -1500.0}
    assert told == [{"a=b": "c d", **first, "time": 17}, {"m.g": True, "time": 18}]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1} b=2 3',
        "time,speed",
        "speed=5 msg=a 3",
        "Device name=X",
        "can speed=5",
        "[1] a=1 2",
    ],
)
def test_other_text_is_no_line(text):
    assert not is_line(text)
    assert b"".join(as_json(iter([text.encode() + b"\nx"]))) == text.encode() + b"\nx"
