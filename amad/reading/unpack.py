"""The bytes of a raw file, unpacked if its content (not its name) shows that it is compressed.

If a file is cut, what can be decoded is yielded before the error is raised. If it is damaged,
nothing is yielded: decoding may go on after the damage with wrong values that look like rows, and
only the checksum at the end shows it.
"""

import bz2
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

import pyarrow as pa

from amad.reading.batch import FileRefusedError

CHUNK_BYTES = 1 << 20  # the most that is yielded at once
STEP_BYTES = 1 << 16  # read at once
SMALL_STEP_BYTES = 1 << 12  # read at once of bzip2 and xz, whose decoders lose a step that fails

PACKED = ("gz", "bz2", "xz", "zst", "lz4", "zip")  # endings of names; the content decides
EXPORT = "export its table as CSV or Parquet"
UNPACK = "unpack it, so that each of its files lies in the folder"
DECODE = "decode it with the bus's DBC file, and export the signals as CSV or Parquet"
CONVERT = "export its signals as CSV or Parquet"
NO_TABLE = {
    b"PAR1": "a Parquet file: set source.format: parquet, or let 'files' leave it out",
    b"ARROW1": "an Arrow file, which source.format: parquet reads",
    b"\xff\xff\xff\xff": "an Arrow stream, which source.format: parquet reads",
    b"SQLite format 3\0": f"an SQLite database, as ROS 2 bags (.db3) are, too: {EXPORT}",
    b"\x89HDF\r\n\x1a\n": f"an HDF5 or MATLAB file: {EXPORT}",
    b"MATLAB 5.0": f"a MATLAB file: {EXPORT}",
    b"MATLAB 7.3": f"an HDF5 or MATLAB file: {EXPORT}",
    b"CDF\x01": f"a NetCDF file: {EXPORT}",
    b"CDF\x02": f"a NetCDF file: {EXPORT}",
    b"<stata_dta>": f"a Stata file: {EXPORT}",
    b"RDX": f"an R data file: {EXPORT}",
    b"X\n\0\0": f"an R data file: {EXPORT}",
    b"\x80\x04\x95": f"a Python pickle: {EXPORT}",
    b"\x80\x05\x95": f"a Python pickle: {EXPORT}",
    b"MDF     ": f"an ASAM MDF recording: {CONVERT}",
    b"UnFinMF ": f"an ASAM MDF recording that was not finished: {CONVERT}",
    b"LOGG": f"a Vector BLF log of raw bus frames: {DECODE}",
    b"\xd4\xc3\xb2\xa1": f"a capture of packets: {DECODE}",
    b"\n\r\r\n": f"a capture of packets: {DECODE}",
    b"#ROSBAG": f"a ROS bag: {CONVERT}",
    b"\x89MCAP0\r\n": f"an MCAP recording: {CONVERT}",
    b"TDSm": f"a LabVIEW TDMS recording: {CONVERT}",
    b"ULog\x01\x12\x35": f"a PX4 ULog recording: {CONVERT}",
    b"Obj\x01": f"an Avro file: {EXPORT}",
    b"ORC": f"an ORC file: {EXPORT}",
    b"FEA1": f"a Feather file: {EXPORT}",
    b"\x93NUMPY": f"a NumPy array: {EXPORT}",
    b"<?xml": f"an XML document: {EXPORT}",
    b"version https://git-lfs": "a pointer of Git LFS and not the file: fetch it with git lfs pull",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": f"an Excel workbook of the old form: {EXPORT}",
    b"%PDF-": f"a PDF document: {EXPORT}",
    b"Rar!\x1a": f"a RAR archive: {UNPACK}",
    b"7z\xbc\xaf\x27\x1c": f"a 7-Zip archive: {UNPACK}",
}


# What stands further on in a file, and what this shows.
NO_TABLE_WITHIN = (
    (8, b".FIT", f"a FIT recording: {CONVERT}"),
    (8, b"DUCK", f"a DuckDB database: {EXPORT}"),
    (12, b"\xc2\xea\x81\x60", f"a SAS file: {EXPORT}"),
    (512, b"\x89HDF\r\n", f"an HDF5 or MATLAB file: {EXPORT}"),
)
START = 520  # bytes that show what a file is


def unpacked(path: Path) -> Iterator[bytes]:
    """Yield a file's content in pieces of up to a megabyte.

    Raises:
        FileRefusedError: it is no text, it is damaged, or it is cut. The pieces yielded before
            remain valid.
        OSError: the file cannot be opened or read.
    """
    with path.open("rb") as file:
        start = file.read(START)
        file.seek(0)
        _refuse_tables_of_others(start)
        decoder = _decoder_of(start)
        if is_packed(start):
            with path.open("rb") as again:  # Arrow closes the file that it has read
                _verify(decoder(again))
        pieces = decoder(file)
        first = b""
        for piece in pieces:
            if len(first) < START:
                first += piece[: START - len(first)]
                if is_packed(start):
                    _refuse_packed(first)
                if first[257:262] == b"ustar":
                    raise FileRefusedError(f"it is a tar archive: {UNPACK}")
            yield piece


class DamagedError(FileRefusedError):
    """The compressed data was changed after it was packed."""


def _verify(pieces: Iterator[bytes]) -> None:
    """Decode to the end, so that every checksum is compared before a row is used.

    Raises:
        DamagedError: the data is damaged. Other faults are raised when the data is read.
    """
    try:
        for _ in pieces:
            pass
    except FileRefusedError as error:
        if isinstance(error, DamagedError):
            raise


def _refuse_tables_of_others(start: bytes) -> None:
    for magic, what in NO_TABLE.items():
        if start.startswith(magic):
            raise FileRefusedError(f"it is {what}")
    if start.lower().startswith((b"<!doctype", b"<html")):
        raise FileRefusedError(f"it is an HTML page: {EXPORT}")
    for at, magic, what in NO_TABLE_WITHIN:
        if start.startswith(magic, at):
            raise FileRefusedError(f"it is {what}")


def _refuse_packed(start: bytes) -> None:
    """Refuse what begins so within a packed file and is no text."""
    if start.startswith(b"PAR1"):
        raise FileRefusedError(f"it is a Parquet file that is compressed as a whole: {UNPACK}")
    if is_packed(start):
        raise FileRefusedError(f"it is packed twice: {UNPACK}")
    _refuse_tables_of_others(start)


def is_packed(start: bytes) -> bool:
    """Do these first bytes show that the file is compressed in a way that is unpacked here?"""
    return _decoder_of(start) is not _plain


def _decoder_of(start: bytes) -> Callable[[BinaryIO], Iterator[bytes]]:
    if start.startswith(b"\x1f\x8b"):
        return _gzip
    if start.startswith(b"BZh") and start[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return lambda file: _streams(file, bz2.BZ2Decompressor, "bzip2")
    if start.startswith(b"\xfd7zXZ\0"):
        return lambda file: _streams(file, lzma.LZMADecompressor, "xz")
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return lambda file: _by_arrow(file, "zstd")
    if start.startswith(b"\x04\x22\x4d\x18"):
        return lambda file: _by_arrow(file, "lz4")
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip
    return _plain


def _plain(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(CHUNK_BYTES):
        yield data


def _gzip(file: BinaryIO) -> Iterator[bytes]:
    """The members of a gzip file, one after the other, with zeros between them or not."""
    data = file.read(STEP_BYTES)
    while data:
        if not data.startswith(b"\x1f"):
            raise FileRefusedError("what follows the gzip data is no gzip")
        decoder = zlib.decompressobj(wbits=31)
        while not decoder.eof:
            data = data or file.read(STEP_BYTES)
            if not data:
                yield decoder.flush()
                raise _cut("gzip")
            try:
                piece = decoder.decompress(data, CHUNK_BYTES)
            except zlib.error:
                raise _damaged("gzip") from None
            yield piece
            data = decoder.unconsumed_tail
        data = decoder.unused_data.lstrip(b"\0")
        while not data and (more := file.read(STEP_BYTES)):
            data = more.lstrip(b"\0")


def _streams(file: BinaryIO, new: Callable, kind: str) -> Iterator[bytes]:
    """The streams of a bzip2 or xz file, one after the other."""
    data = file.read(SMALL_STEP_BYTES)
    while data:
        decoder = new()
        while not decoder.eof:
            if decoder.needs_input:
                data = data or file.read(SMALL_STEP_BYTES)
                if not data:
                    raise _cut(kind)
            try:
                piece = decoder.decompress(data, CHUNK_BYTES)
            except (OSError, EOFError, lzma.LZMAError):
                raise _damaged(kind) from None
            data = b""
            yield piece
        data = decoder.unused_data.lstrip(b"\0") or file.read(SMALL_STEP_BYTES).lstrip(b"\0")


def _by_arrow(file: BinaryIO, kind: str) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.PythonFile(file, "r"), kind) as stream:
        while True:
            try:
                data = stream.read(STEP_BYTES)
            except (OSError, pa.ArrowException) as error:
                raise (_cut if "runcated" in str(error) else _damaged)(kind) from None
            if not data:
                return
            yield data


def _zip(file: BinaryIO) -> Iterator[bytes]:
    """The one file of a zip archive."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise FileRefusedError(
            "the zip data breaks off (a cut or unfinished copy), and what is in it stands at its "
            "end, so that nothing of it was read; copy the file again"
        ) from None
    with archive:
        names = [
            info.filename
            for info in archive.infolist()
            if not info.is_dir() and not _is_hidden(info.filename)
        ]
        if "[Content_Types].xml" in names:
            raise FileRefusedError(f"it is an Excel workbook: {EXPORT}")
        if "mimetype" in names and "content.xml" in names:
            raise FileRefusedError(f"it is an OpenDocument spreadsheet or text: {EXPORT}")
        if len(names) != 1:
            some = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            raise FileRefusedError(
                f"it is a zip archive of several files: of {len(names)} ({some}), and only one of "
                f"one file is read as it is; {UNPACK}"
                if names
                else "it is an empty zip archive"
            )
        try:
            with archive.open(names[0]) as member:
                yield member.read(START)
                yield from _plain(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, lzma.LZMAError):
            raise _damaged("zip") from None
        except (NotImplementedError, RuntimeError) as error:  # a method unknown here; a password
            raise FileRefusedError(f"the zip archive cannot be read ({error}): {UNPACK}") from None


def _is_hidden(name: str) -> bool:
    """Is it something that a file manager added to the archive?"""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


def _cut(kind: str) -> FileRefusedError:
    return FileRefusedError(
        f"the {kind} data breaks off (a cut or unfinished copy); what was decoded of it was read"
    )


def _damaged(kind: str) -> DamagedError:
    return DamagedError(
        f"the {kind} data is damaged, so that nothing of it can be trusted; copy the file again"
    )
