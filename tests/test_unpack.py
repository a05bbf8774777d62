"""Compressed files: told by their content, read as far as they can be."""

import bz2
import gzip
import lzma
import random
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading_kit import seen, source

ROWS = 3000
# Numbers without a pattern, so that a cut file holds about as much of the rows as of the bytes.
TEXT = "a,b\n" + "".join(f"{n},{random.Random(n).random()}\n" for n in range(1, ROWS + 1))


def stream(codec):
    def pack(data):
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as out:
            out.write(data)
        return sink.getvalue().to_pybytes()

    return pack


PACKERS = {
    "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress,
    "zstd": stream("zstd"), "lz4": stream("lz4"), "plain": bytes,
}  # fmt: skip


def read(tmp_path, content, name="log.csv"):
    path = tmp_path / name
    path.write_bytes(content)
    return seen(path, source())


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.csv.zst"])
def test_the_content_tells_how_a_file_is_packed(tmp_path, kind, name):
    told = read(tmp_path, PACKERS[kind](TEXT.encode()), name)
    assert len(told.rows) == ROWS and not told.refused


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd", "lz4"])
def test_a_file_that_was_packed_in_pieces(tmp_path, kind):
    pack, at = PACKERS[kind], TEXT.index("\n", 20_000) - 3
    told = read(tmp_path, pack(TEXT[:at].encode()) + pack(TEXT[at:].encode()))
    assert len(told.rows) == ROWS and not told.refused


def test_zeros_after_and_between_gzip_members(tmp_path):
    halves = gzip.compress(TEXT[:30_000].encode()), gzip.compress(TEXT[30_000:].encode())
    told = read(tmp_path, halves[0] + b"\0" * 100 + halves[1] + b"\0" * 512)
    assert len(told.rows) == ROWS and not told.refused


@pytest.mark.parametrize("kind", ["gzip", "xz", "zstd", "lz4", "bzip2"])
def test_of_a_cut_file_what_was_decoded_stays(tmp_path, kind):
    data = PACKERS[kind](TEXT.encode())
    told = read(tmp_path, data[: len(data) * 2 // 3])
    assert "breaks off" in told.refused or not told.rows
    if kind == "gzip":
        assert ROWS // 2 < len(told.rows) < ROWS
    assert not told.broken  # the last line is cut, and part of what is refused
    assert all(row[0] == str(number) for number, row in told.rows.items())


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
def test_of_a_damaged_file_nothing_is_taken_for_rows(tmp_path, kind):
    # Many like rows: decoding goes on after the damage, and gives rows that were never written.
    rows = "".join(f"{n % 97},{n * n % 251}\n" for n in range(20_000))
    data = bytearray(PACKERS[kind](("a,b\n" + rows).encode()))
    at = len(data) // 2
    data[at : at + 50] = bytes(50)
    told = read(tmp_path, bytes(data))
    assert "damaged" in told.refused and not told.rows and not told.broken


def test_what_follows_gzip_and_is_none_is_told(tmp_path):
    told = read(tmp_path, gzip.compress(TEXT.encode()) + b"log closed")
    assert len(told.rows) == ROWS and "follows" in told.refused


def zipped(tmp_path, **files):
    with zipfile.ZipFile(tmp_path / "made", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_", "."), text)
    return (tmp_path / "made").read_bytes()


def test_a_zip_archive_of_one_file_is_read(tmp_path):
    assert len(read(tmp_path, zipped(tmp_path, log_csv=TEXT), "log.zip").rows) == ROWS


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"b_csv": TEXT, "a_csv": TEXT}, "of 2 (a.csv, b.csv), and only"),
        ({"a_csv_gz": gzip.compress(TEXT.encode())}, "packed twice"),
    ],
)
def test_other_zip_archives_are_refused_with_the_way_out(tmp_path, files, says):
    told = read(tmp_path, zipped(tmp_path, **files))
    assert not told.rows and says in told.refused and "unpack it" in told.refused


def test_what_file_managers_put_into_an_archive_is_no_file_of_it(tmp_path):
    files = {"__MACOSX/x/._log.csv": b"\0", "x/.DS.Store": b"\0", "x/": b""}
    with zipfile.ZipFile(tmp_path / "made", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    told = read(tmp_path, (tmp_path / "made").read_bytes(), "log.zip")
    assert not told.rows and told.refused == "it is an empty zip archive"
    with zipfile.ZipFile(tmp_path / "made", "a") as archive:
        archive.writestr("x/log.csv", TEXT)
    assert len(read(tmp_path, (tmp_path / "made").read_bytes(), "log.zip").rows) == ROWS


def test_a_file_that_was_packed_twice_is_told(tmp_path):
    twice = gzip.compress(gzip.compress(TEXT.encode()))
    assert "packed twice" in read(tmp_path, twice).refused
    assert "packed twice" in read(tmp_path, bz2.compress(zipped(tmp_path, a_csv=TEXT))).refused


def test_a_cut_or_damaged_zip_archive_is_refused(tmp_path):
    data = zipped(tmp_path, log_csv=TEXT)
    assert "breaks off" in read(tmp_path, data[:-200]).refused
    damaged = data[:2000] + bytes(500) + data[2500:]
    assert "damaged" in read(tmp_path, damaged).refused


def test_files_that_are_no_text_are_named(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    told = read(tmp_path, (tmp_path / "x.parquet").read_bytes())
    assert "format: parquet" in told.refused
    with pa.ipc.new_stream(tmp_path / "x.arrow", pa.schema([("a", pa.int64())])) as writer:
        writer.write_table(pa.table({"a": [1]}))
    assert "Arrow stream" in read(tmp_path, (tmp_path / "x.arrow").read_bytes()).refused
    assert "SQLite" in read(tmp_path, b"SQLite format 3\0" + bytes(100)).refused
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
    assert "Excel" in read(tmp_path, (tmp_path / "book.xlsx").read_bytes()).refused
    with zipfile.ZipFile(tmp_path / "book.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", "")
    assert "OpenDocument" in read(tmp_path, (tmp_path / "book.ods").read_bytes()).refused
    tar = b"log.csv".ljust(257, b"\0") + b"ustar" + bytes(300)
    assert "tar archive" in read(tmp_path, gzip.compress(tar)).refused
    packed = gzip.compress((tmp_path / "x.parquet").read_bytes())
    assert "compressed as a whole" in read(tmp_path, packed).refused


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"MDF     4.10", "MDF recording"),
        (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "HDF5 or MATLAB"),
        (bytes(512) + b"\x89HDF\r\n\x1a\n", "HDF5 or MATLAB"),
        (bytes(8) + b"DUCK", "DuckDB"),
        (bytes(12) + b"\xc2\xea\x81\x60", "SAS"),
        (b"CDF\x01", "NetCDF"),
        (b"X\n\0\0", "R data"),
        (b"\x80\x04\x95", "pickle"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_no_text_is_named_packed_or_not(tmp_path, start, what, pack):
    assert what in read(tmp_path, pack(start + bytes(100))).refused
