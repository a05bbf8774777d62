"""JSON files: objects become rows, and what is none is refused with its reason."""

import gzip
import json
import zlib

import numpy as np
import pytest
from draft_kit import ROWS, Field, log, stamp, wave
from reading_kit import everything, only, seen, source

from amad.config import load_fleet
from amad.reading import json_file

ROW = {"id": "van1", "values": {"speed": 50.5, "ok": True}}
LINE = json.dumps(ROW)


def read(tmp_path, data, **changes):
    path = tmp_path / "a.json"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return seen(path, source(format="json", **changes), everything)


@pytest.mark.parametrize(
    "data",
    [
        f"{LINE}\n{LINE}\n",
        f"{LINE}{LINE}",
        f"\ufeff[{LINE},\r\n {LINE}]",
        f"\ufeff{LINE}\n\ufeff{LINE}\n",
        f"\x1e{LINE}\n\x1e{LINE}\n",
        json.dumps([ROW, ROW], indent=2),
        gzip.compress(f"{LINE}\n{LINE}".encode(), mtime=0),
        f"\ufeff{LINE}\n{LINE}".encode("utf-16-le"),
    ],
)
def test_objects_are_rows_however_they_are_set_apart(tmp_path, data):
    told = read(tmp_path, data)
    assert told.rows == {1: ("van1", 50.5, True), 2: ("van1", 50.5, True)}
    assert not told.broken and not told.refused


def test_a_key_that_a_row_lacks_is_null_wherever_it_stands_first(tmp_path):
    told = read(tmp_path, '{"a": 1}\n{"b": "x"}\n{"a": null, "c": {}}')
    assert told.rows == {1: (1, None), 2: (None, "x"), 3: (None, None)}


def test_a_key_that_the_first_rows_lack_is_found_further_on(tmp_path, monkeypatch):
    monkeypatch.setattr(json_file, "FIRST_ROWS", 4)
    monkeypatch.setattr(json_file, "BATCH_CELLS", 4)
    lines = [json.dumps({"n": n} | ({"late": n} if n > 20 else {})) for n in range(40)]
    path = tmp_path / "a.json"
    path.write_text("\n".join(lines))
    told = seen(path, source(format="json"), only("n", "late"))
    assert list(told.rows.values()) == [(n, n if n > 20 else None) for n in range(40)]
    assert len(told.preambles) == 11
    path.write_text("\n".join(lines[:20]))
    told = seen(path, source(format="json"), only("n", "late"))
    assert not told.rows and told.refused.startswith("missing column: ['late']")


def test_a_list_of_objects_is_a_row_for_each_with_the_other_keys_repeated(tmp_path):
    told = read(tmp_path, '{"id": 7, "at": [{"t": 1, "v": {"x": 5}}, {"t": 2}], "n": [1, 2]}')
    assert told.rows == {1: (7, "[1, 2]", 1, 5), 2: (7, "[1, 2]", 2, None)}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"id": 1,}', "no JSON: "),
        ('{"id": "van', "no JSON: "),
        ('{"id": ', "no JSON: "),
        ('{"id": 1, "values": {"a": 2}', "no JSON: "),
        ('{"id": 1, "values": [{"a": 2},', "no JSON: "),
        ("ERROR 17", "no JSON: expecting an object"),
        ("2026-01-05 started, 17", "no JSON: expecting an object"),
        ('{"id": 1, "id": 2}', "a key stands twice in it"),
        ('{"a": {"b": 1}, "a.b": 2}', "a key stands twice in it"),
        ('{"a": [{"b": 1}], "a.b": 2}', "a key stands twice in it"),
        (b'{"id": "\xff"}', "no JSON: zeros, or bytes that source.encoding cannot decode"),
        ('{"id": "a\tb"}', "no JSON: invalid control character"),
        ('{"id": ' + "9" * 5000 + "}", "no JSON: a number of over 4,300 digits"),
        ('{"id": ' + "[" * 9999 + "]" * 9999 + "}", "no JSON: too many objects or lists within"),
        ('{"a": ' * 9999 + "1" + "}" * 9999, "no JSON: too many objects or lists within"),
    ],
)
def test_a_line_that_is_no_row_is_refused_alone(tmp_path, line, why):
    line = line if isinstance(line, bytes) else line.encode()
    told = read(tmp_path, b'{"id": 0}\n' + line + b'\n{"id": 3}\n')
    assert told.rows.keys() == {1, 3}
    assert told.broken[2].startswith(why)
    assert not told.refused


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_that_is_cut_behind_an_object_is_told(tmp_path, indent):
    text = json.dumps([{"id": n, "at": [1, 2]} for n in range(5)], indent=indent)
    assert not read(tmp_path, text).broken and not read(tmp_path, f"{text}\n{text}").broken
    told = read(tmp_path, text[: text.rindex("}") + 1])
    assert len(told.rows) == 5 and told.broken[6].startswith("no bracket closes the list of rows")
    assert len(read(tmp_path, text[: text.rindex("}")]).broken) == 1


def test_each_line_of_text_between_rows_is_one_refused_row(tmp_path):
    told = read(tmp_path, f"{LINE}\nWARN 1\n  at x\n[]\nWARN 2\n{LINE}\nend")
    assert told.rows.keys() == {1, 5} and told.texts == ["WARN 1", "at x", "WARN 2", "end"]
    assert {*told.broken.values()} == {"no JSON: expecting an object"}


def test_a_line_that_is_no_row_takes_as_long_wherever_it_stands(tmp_path, monkeypatch):
    told_by, counted = json_file._told, []

    def told_and_counted(error, *of):  # an error counts the lines of the text before it
        counted.append(error.pos)
        return told_by(error, *of)

    monkeypatch.setattr(json_file, "_told", told_and_counted)
    told = read(tmp_path, 'WARN slow\n{"id": 1\n{"id": 1}\n' * 500)
    assert (len(told.rows), len(told.broken)) == (500, 1000)
    assert max(counted) < 50


def test_a_damaged_object_over_several_lines_is_refused_with_the_objects_in_it(tmp_path):
    rows = [{"n": n, "at": [{"t": 3 * n + k} for k in range(3)]} for n in range(4)]
    text = json.dumps(rows, indent=2)
    at = text.index('"t": 4')
    told = read(tmp_path, text[:at] + "oops " + text[at:])
    assert [row for row in told.rows.values()] == [(n // 3, n) for n in (0, 1, 2, *range(6, 12))]
    assert list(told.broken) == [4] and "oops" in told.texts[0]


@pytest.mark.parametrize("mark", ["\n", ",\n", ",\r\n  ", "\n, "])
@pytest.mark.parametrize("cut", [8, 14, 22, 33])
def test_a_cut_object_takes_no_other_one_along(tmp_path, mark, cut):
    for lost in range(4):
        lines = [json.dumps({"n": n, "v": {"a": n / 7}, "l": [1, 2]}) for n in range(4)]
        lines[lost] = lines[lost][:cut]
        told = read(tmp_path, f"[\n{mark.join(lines)}\n]")
        assert [row[0] for row in told.rows.values()] == [n for n in range(4) if n != lost]
        assert len(told.broken) == 1


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_row_is_the_same_wherever_pieces_of_the_file_end(tmp_path, monkeypatch, piece):
    rows = [{"n": n, "text": "ä" * (n % 5), "x": {"y": n / 7}} for n in range(40)]
    lines = [json.dumps(row, ensure_ascii=n % 2 == 0) for n, row in enumerate(rows)]
    lines[20:20] = ['{"n": 1 "text": 2}']
    data = "\n".join(lines).encode()
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    monkeypatch.setattr(json_file, "unpacked", lambda _: iter(pieces))
    told = read(tmp_path, data)
    assert list(told.broken) == [21]
    assert list(told.rows.values()) == [(r["n"], r["text"], r["x"]["y"]) for r in rows]


def test_a_cut_file_keeps_its_rows_and_says_that_it_is_cut(tmp_path):
    told = read(tmp_path, f'{LINE}\n{LINE}\n{{"id": "van')
    assert told.rows.keys() == {1, 2} and told.broken == {3: json_file.CUT}
    text = "".join(f"{LINE}\n" for _ in range(99))
    told = read(tmp_path, gzip.compress(text.encode(), mtime=0)[:-12])
    assert told.rows and "breaks off" in told.refused


def test_what_is_behind_a_damaged_row_without_lines_is_one_refused_entry(tmp_path):
    told = read(tmp_path, f"{LINE}{{]{LINE * 99}")
    assert told.rows.keys() == {1} and "behind row 1" in told.refused
    monster = '{"a": "' + "x" * (17 << 20) + '"}'
    told = read(tmp_path, zlib.compress(monster.encode(), wbits=31))
    assert "of over 16 MB" in told.refused


@pytest.mark.parametrize("data", ["", "[]", "time,speed\n1,2\n", "17", '{"a": '])
def test_a_file_without_a_row_is_refused(tmp_path, data):
    told = read(tmp_path, data)
    assert not told.rows and told.refused.startswith("unreadable file: ")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([1, 2.5], [1.0, 2.5]),
        ([1, None, "n/a"], ["1", None, "n/a"]),
        ([True, 2], ["true", "2"]),
        ([2**64, 1], [str(2**64), "1"]),
        ([2**53 + 1, 0.5], [str(2**53 + 1), "0.5"]),
        (["\ud800"], ["?"]),
    ],
)
def test_cells_of_several_types_are_text(tmp_path, cells, expected):
    told = read(tmp_path, "\n".join(json.dumps({"a": cell}) for cell in cells))
    assert [row[0] for row in told.rows.values()] == expected


def test_json_of_a_hub_is_drafted_and_read(field):
    lines = [
        json.dumps(
            {"deviceId": f"d{v}", "ts": 1767600000000 + 1000 * n, "values": {"speed": wave(n + v)}}
        )
        for n in range(ROWS)
        for v in (1, 2)
    ]
    (field.raw / "part-0.json.gz").write_bytes(gzip.compress("".join(lines).encode()))
    fleet, told = field.draft()
    assert "1 in the format json" in told
    assert fleet.source.vehicle.column == "deviceId" and fleet.source.timestamp.unit == "ms"
    result = field.ingest(fleet)
    assert result.rows_lake == 2 * ROWS and list(result.vehicles) == ["d1", "d2"]


def test_sparse_and_long_json_are_drafted_as_such(tmp_path):
    for kind in ("json_sparse", "json_long"):
        home = tmp_path / kind
        home.mkdir()
        field = Field(home)
        rows = [
            {"id": "x", "time": stamp(n)}
            | ({"key": key, "value": wave(n)} if kind == "json_long" else {key: wave(n)})
            for n in range(ROWS)
            for key in ("speed", "level")
        ]
        field.write("a.ndjson", map(json.dumps, rows))
        fleet, _ = field.draft()
        assert fleet.source.format == kind
        assert {c.header for c in fleet.channels} == {"speed", "level"}
        result = field.ingest(fleet)
        assert result.rows_lake == ROWS and result.rows_merged == ROWS


def test_large_files_of_json_are_looked_at_in_pieces(field):
    lines = [
        json.dumps({"id": "x", "time": stamp(n), "speed": n, "pad": "x" * 300})
        for n in range(30_000)
    ]
    field.write("a.json", lines)
    fleet, _ = field.draft()
    assert "a part of their rows" in next(field.settings.home.rglob("vans.yaml")).read_text()
    assert fleet.channels[0].range[1] > 20_000


def test_a_text_of_columns_and_json_are_told_apart_by_ingest(field):
    field.write("a.csv", log())
    fleet, _ = field.draft()
    field.write("b.csv", [LINE])
    field.ingest(fleet)
    reasons = [f.reason for f in field.ingest(fleet).files_refused]
    assert reasons == ["it is JSON: set source.format: json, or let 'files' leave it out"]


def test_values_of_json_are_those_of_the_file(field):
    speeds = np.round(np.random.default_rng(3).normal(50, 9, ROWS), 3)
    rows = [{"id": "x", "time": stamp(n), "v": {"speed": speeds[n]}} for n in range(ROWS)]
    field.write("a.json", [json.dumps(rows)])
    fleet, _ = field.draft()
    field.ingest(fleet)
    table = field.lake(fleet).read("x")
    assert table["v.speed"].to_pylist() == pytest.approx(speeds, rel=1e-6)


def test_messages_of_json_may_each_hold_other_keys(field):
    for n in range(ROWS):
        told = {"temp": wave(n)} if n % 3 else {"level": wave(n), "fault": int(n > 200)}
        row = {"device": f"d{n % 2}", "time": stamp(10 * n)} | told
        field.write(f"in/{n:04d}.json", [json.dumps(row)])
    field.write("about.json", [json.dumps({"name": "x", "version": 2})])
    fleet, told = field.draft()
    assert fleet.source.format == "json_sparse" and fleet.labels.kind == "column"
    assert {channel.name for channel in fleet.channels} == {"temp", "level"}
    assert "about.json: it has no column of the other files" in told
    field.write("in/9999.json", [json.dumps({"device": "d1", "time": stamp(9999), "beat": 1})])
    field.write("in/9998.json", [json.dumps({"time": stamp(9998), "temp": 1})])
    result = field.ingest(fleet)
    assert (result.rows_lake, result.rows_rejected) == (ROWS + 1, 1)
    assert "missing column: 'device'" in result.files_refused[0].reason
    lake = field.lake(fleet)
    temps = [v for name in ("d0", "d1") for v in lake.read(name)["temp"].to_pylist()]
    assert sum(v is not None for v in temps) == ROWS * 2 // 3


def test_lines_of_text_between_lines_of_json_are_refused_alone(field):
    lines = [json.dumps({"id": "x", "time": stamp(n), "speed": wave(n)}) for n in range(ROWS)]
    field.write("app.log", ["2026-01-05 started", *lines[:100], "WARN slow", *lines[100:]])
    fleet, _ = field.draft()
    result = field.ingest(fleet)
    assert (result.rows_lake, result.rejected_by_reason) == (ROWS, {"no JSON": 2})


@pytest.mark.parametrize(
    "content",
    [
        {"time": [stamp(n) for n in range(9)], "speed": [*range(9)]},
        {"speed": {str(n): wave(n) for n in range(9)}},
        {"speed": [{"value": n} for n in range(9)], "rpm": [{"value": 2}]},
        {"speed": [{"ts": n, "value": n} for n in range(9)], "rpm": [{"ts": 1, "raw": 2}]},
    ],
)
def test_one_object_with_all_values_is_refused_with_the_way_out(field, content):
    field.write("a.json", [json.dumps(content, indent=1)])
    assert "one object of JSON, which is one row: write an object for each row" in field.refusal()


def test_series_of_their_own_times_are_rows_of_a_signal_each(field):
    series = {
        name: [{"ts": 1767600000000 + 1000 * n, "value": str(wave(n + at))} for n in range(ROWS)]
        for at, name in enumerate(("speed", "rpm"))
    }
    series["rpm"] = series["rpm"][::-2]  # the newest first, and every other one alone
    field.write("van7.json", [json.dumps(series)])
    fleet, _ = field.draft()
    assert fleet.source.format == "json_long" and field.ingest(fleet).rows_rejected == 0
    lake = field.lake(fleet)
    rows = lake.read(lake.vehicles()[0]).to_pylist()
    assert [row["speed"] for row in rows] == list(map(wave, range(ROWS)))
    assert [row["rpm"] for row in rows] == [wave(n + 1) if n % 2 else None for n in range(ROWS)]


def test_a_key_of_one_vehicle_class_may_begin_anywhere_in_a_file(field, monkeypatch):
    monkeypatch.setattr(json_file, "FIRST_ROWS", 8)
    lines = [
        json.dumps({"id": f"{'ice' if n % 2 else 'bev'}-1", "time": stamp(n // 2), "speed": n}
                   | ({"rpm": n} if n % 2 and n > 50 else {}))
        for n in range(2 * ROWS)
    ]  # fmt: skip
    field.write("a.json", lines)
    fleet, _ = field.draft()
    file = field.settings.conf_dir / "fleet" / "vans.yaml"
    classes = (
        "\nvehicle_classes:\n- {name: ice, vehicles: [ice-*]}\n- {name: bev, vehicles: [bev-*]}\n"
    )
    told = file.read_text().replace("{name: rpm,", "{name: rpm, classes: [ice],")
    file.write_text(told + classes)
    fleet = load_fleet("vans", field.settings)
    assert field.ingest(fleet).rows_rejected == 0
    rpm = field.lake(fleet).read("ice-1")["rpm"].to_pylist()
    assert rpm == [n if n > 50 else None for n in range(1, 2 * ROWS, 2)]
