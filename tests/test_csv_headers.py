"""Where the header stands, and what comes before it and again after it."""

import pytest
from ingest_kit import Yard, at, raw_fleet, seconds_of
from reading_kit import only, seen, source

from amad.reading import lines as text_lines
from amad.reading.readers import read_batches


def read(tmp_path, text, resolve, **changes):
    path = tmp_path / "log.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return seen(path, source(**changes), resolve)


need = only("time", "speed")


def test_lines_before_the_header_are_handed_on(tmp_path):
    before = ["# Logger 4.2", "Start;03/04/2025 08:11", "", 'note,"a, b']
    told = read(tmp_path, "\n".join([*before, "time, speed,x", "1,2,3"]), need)
    assert told.rows == {1: ("1", "2")} and told.preambles == [before]


def test_rows_before_the_header_are_refused_and_told(tmp_path):
    """A log that goes on from the file before; and one whose earlier header lacks a column."""

    def roles(headers):
        return {"timestamp": need(headers)["time"], "speed": need(headers)["speed"]}

    text = "# Logger 4.2\nRate;10\n7;71\n8;\n9;91\ntime;speed\n10;1\n"
    told = read(tmp_path, text, roles, delimiter=";")
    assert told.rows == {3: ("10", "1")} and sorted(told.broken) == [1, 2]
    assert set(told.broken.values()) == {"a row before the header: nothing tells its columns"}
    assert told.texts == ["7;71", "9;91"]
    assert told.preambles[0] == ["# Logger 4.2", "Rate;10", "8;"], "no value, so no row"
    text = "Start: 8:00\ntime,level\n1,x\n2,\n\n# pause\ntime,level,speed\n3,x,5\n"
    told = read(tmp_path, text, roles)
    assert told.rows == {3: ("3", "5")} and told.texts == ["1,x", "2,"]
    assert told.broken[1] == "a row before the header: it stands under another one, 'time,level'"


def test_a_separator_line_of_a_spreadsheet_is_before_the_header(tmp_path):
    assert read(tmp_path, "sep=;\ntime;speed\n1;2\n", need, delimiter=";").rows == {1: ("1", "2")}


@pytest.mark.parametrize(("lines", "found"), [(99, True), (100, False)])
def test_the_header_is_looked_for_in_a_hundred_lines(tmp_path, lines, found):
    told = read(tmp_path, "# text\n" * lines + "time,speed\n1,2\n", need)
    assert bool(told.rows) is found
    assert found or "missing column" in told.refused


def test_the_refusal_is_about_the_line_that_looks_like_a_header(tmp_path):
    told = read(tmp_path, "# Logger\n\nwhen,speed,level\n1,2,3,\n", need)
    assert "'when', 'speed', 'level'" in told.refused and "# Logger" not in told.refused


@pytest.mark.parametrize(
    ("mark", "written"), [(";", "';'"), ("\t", r'"\t"'), ("|", "'|'"), (",", "','")]
)
def test_a_wrong_delimiter_is_named_with_the_setting(tmp_path, mark, written):
    text = f"time{mark}speed\n1{mark}2\n"
    told = read(tmp_path, text, need, delimiter=";" if mark == "," else ",")
    assert not told.rows and f"set source.delimiter: {written}" in told.refused


def test_a_header_again_is_no_row(tmp_path):
    told = read(tmp_path, 'time,speed\n1,2\nTime, "speed"\n3,4\n\ufefftime,speed,\n5,6\n', need)
    assert told.rows == {1: ("1", "2"), 2: ("3", "4"), 3: ("5", "6")}
    assert told.ignored == {"repeated header": 2}


@pytest.mark.parametrize("block", [12, 1 << 20])
@pytest.mark.parametrize("again", ["time,speed", "speed,time"])
def test_a_header_twice_in_a_row_is_no_line_of_units(tmp_path, monkeypatch, block, again):
    monkeypatch.setattr(text_lines, "BLOCK_BYTES", block)
    told = read(tmp_path, f"time,speed\n1,2\n{again}\n{again}\ntime,speed\n3,4\n", need)
    assert told.rows == {1: ("1", "2"), 2: ("3", "4")}
    assert told.ignored == {"repeated header": 3}


@pytest.mark.parametrize("block", [24, 1 << 20])
def test_a_line_of_units_under_a_header_is_no_row(tmp_path, monkeypatch, block):
    monkeypatch.setattr(text_lines, "BLOCK_BYTES", block)
    text = "time,speed\ns,km/h\n1,10\n2,n/a\ntime,speed\n-,1/min\n3,30\nspeed,time\n%,[s]\n40,4\n"
    told = read(tmp_path, text, need)
    assert told.rows == {1: ("1", "10"), 2: ("2", None), 3: ("3", "30"), 4: ("4", "40")}
    assert told.ignored == {"repeated header": 2, "line of units under the header": 3}


def test_a_line_of_units_that_names_the_time_is_no_other_header(tmp_path):
    """Graphtec: the names of the columns stand in the line of units too."""
    text = "no,date&time,speed\nNO.,Time,degC\n1,2026-01-05 08:00:00,10\n2,2026-01-05 08:00:01,20\n"
    told = read(tmp_path, text, only("date&time", "speed"))
    assert [values[-1] for values in told.rows.values()] == ["10", "20"]
    assert told.ignored == {"line of units under the header": 1}


@pytest.mark.parametrize("block", [24, 1 << 20])
def test_several_lines_under_a_header_tell_of_its_columns(tmp_path, monkeypatch, block):
    monkeypatch.setattr(text_lines, "BLOCK_BYTES", block)
    text = "time,speed\ns,km/h\nCCP,XCP\n1,10\ntime,speed\nf8,f8\ns,mph\n2,20\n"
    told, units = read(tmp_path, text, need), []
    for batch in read_batches(tmp_path / "log.csv", source(), need):
        units += [batch.units["speed"]] * len(batch.row_R)
    assert told.rows == {1: ("1", "10"), 2: ("2", "20")} and units == ["km/h", "mph"]
    assert told.ignored == {"repeated header": 1, "line of units under the header": 4}


@pytest.mark.parametrize("row", ["1,x", "Mon,on", "x,2 km/h", "x,", "n/a,---", "x,-.5", "x,nan"])
def test_a_row_under_the_header_that_cannot_be_read_is_no_line_of_units(tmp_path, row):
    def roles(headers):
        return {"timestamp": need(headers)["time"], "speed": need(headers)["speed"]}

    told = read(tmp_path, f"time,speed\n{row}\n1,10\n", roles)
    assert sorted(told.rows) == [1, 2] and not told.ignored


@pytest.mark.parametrize("block", [24, 1 << 20])
def test_rows_after_another_header_are_read_under_it(tmp_path, monkeypatch, block):
    monkeypatch.setattr(text_lines, "BLOCK_BYTES", block)
    text = "time,speed\n1,10\n2,20\nspeed,level,time\n30,x,3\n40,x,4\ntime,speed\n5,50\n"
    told = read(tmp_path, text, need)
    assert told.rows == {n: (str(n), str(n * 10)) for n in range(1, 6)}
    assert told.ignored == {"repeated header": 2}


def test_another_header_without_a_column_refuses_the_rest(tmp_path):
    told = read(tmp_path, "time,speed,level\n1,10,5\ntime,level\n2,6\n", need)
    assert told.rows == {1: ("1", "10")}
    assert "another header after row 1" in told.refused and "'speed'" in told.refused


def test_another_table_below_is_not_read_as_rows_of_the_first(tmp_path):
    def roles(headers):
        return {"timestamp": need(headers)["time"], "speed": need(headers)["speed"]}

    text = "time,speed,level\n1,10,5\n\nTime,alarm,code\n2,1,77\n"
    told = read(tmp_path, text, roles)
    assert told.rows == {1: ("1", "10")}
    assert "another header after row 1" in told.refused and "'speed'" in told.refused


def test_headers_of_one_letter_and_headers_that_are_numbers(tmp_path):
    told = read(tmp_path, "t,v\n1,10\nv,t\n20,2\n", only("t", "v"))
    assert told.rows == {1: ("1", "10"), 2: ("2", "20")}
    told = read(tmp_path, "0,1\n0,1\n1,0\n", only("0", "1"))
    assert told.rows == {1: ("0", "1"), 2: ("1", "0")}


def test_a_column_name_in_the_data_is_no_header(tmp_path):
    text = "time,speed,note\n1,10,speed\n2,20,time\n" + "3,30,speed and time\n" * 300
    assert len(read(tmp_path, text, need).rows) == 302


def test_recordings_one_after_the_other_have_their_own_preamble(tmp_path):
    one = "# start = {}\ntime,speed\n0,1\n1,2\n"
    told = read(tmp_path, one.format("8:00") + one.format("9:00"), need)
    assert len(told.rows) == 4 and not told.broken
    assert told.preambles == [["# start = 8:00"], ["# start = 9:00"]]
    assert told.ignored == {"repeated header": 1, "repeated line before the header": 1}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig", "utf-32", "latin-1"])
def test_encodings(tmp_path, encoding):
    text = "time,speed,größe\n" + "".join(f"{n},{n},ä\n" for n in range(50))
    told = read(tmp_path, text.encode(encoding), only("time", "größe"), encoding=encoding)
    assert len(told.rows) == 50 and told.rows[7] == ("6", "ä")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_byte_order_mark_decides(tmp_path, encoding):
    assert read(tmp_path, "time,speed\n1,2\n".encode(encoding), need).rows == {1: ("1", "2")}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_without_a_mark_names_the_setting(tmp_path, encoding):
    told = read(tmp_path, "time,speed\n1,2\n".encode(encoding), need)
    assert told.refused.endswith(f"set source.encoding: {encoding}")


def test_a_header_in_another_encoding_names_the_setting(tmp_path):
    told = read(tmp_path, "time,größe\n1,2\n".encode("latin-1"), only("time", "größe"))
    assert "source.encoding" in told.refused and "0xf6" in told.refused
    # Where the column is not asked for, its name does no harm.
    assert read(tmp_path, "time,speed,größe\n1,2,3\n".encode("latin-1"), need).rows


@pytest.mark.parametrize("text", ["", "\n\n", "   \n"])
def test_an_empty_file(tmp_path, text):
    assert "empty" in read(tmp_path, text, need).refused


@pytest.mark.parametrize("text", ["time,speed", "time,speed\n", "# a\ntime,speed\r\n\r\n"])
def test_a_header_alone_holds_no_rows(tmp_path, text):
    told = read(tmp_path, text, need)
    assert not told.rows and not told.refused and not told.broken


def test_what_is_left_out_is_counted_in_the_ingest(tmp_path):
    yard = Yard(tmp_path)
    rows = [f"a-1,{at(seconds)},1,2" for seconds in range(4)]
    header = "vehicle,timestamp,speed,level"
    yard.csv("1.csv", [*rows[:2], header, *rows[2:], header])
    counts, lake = yard.ingest(raw_fleet())
    assert seconds_of(lake.read("a-1")) == [0, 1, 2, 3] and counts.rows_in == 4
    assert counts.ignored == {"repeated header": 2}


@pytest.mark.parametrize("between", ["", "\n"])
@pytest.mark.parametrize("header", ["event_time,code", "Date Time,volt,amp"])
def test_a_table_with_another_name_for_its_times_ends_the_rows(tmp_path, between, header):
    def roles(headers):
        return {"timestamp": need(headers)["time"], "speed": need(headers)["speed"]}

    below = ["8:00:07,71", "8:00:08,72"]
    text = "\n".join(["time,speed,load", "8:00:01,5,6", between + header, *below]) + "\n"
    told = read(tmp_path, text, roles)
    assert told.rows == {1: ("8:00:01", "5")}
    assert told.refused.startswith("there is another header after row 1")


@pytest.mark.parametrize(
    "line",
    ["driver,Smith,x", "lost,time,lost", "time lost,,", "stamp lost at,once,again", "n/a,time"],
)
def test_words_among_the_rows_are_no_table(tmp_path, line):
    def roles(headers):
        return {"timestamp": need(headers)["time"], "speed": need(headers)["speed"]}

    rows = ["8:00:01,5,6", line, "8:00:02,6,7", "8:00:03,7,8"]
    told = read(tmp_path, "\n".join(["time,speed,load", *rows]) + "\n", roles)
    assert [told.rows[n] for n in (1, 3, 4)] == [(f"8:00:0{n}", f"{n + 4}") for n in (1, 2, 3)]


def test_bytes_of_no_known_format_are_told_as_such(tmp_path):
    told = read(tmp_path, bytes(range(256)) * 9, need)
    assert "neither text nor of a known format; it begins with '\\x00\\x01" in told.refused
