"""Bytes in any encoding are cut into blocks of whole lines in UTF-8."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from amad.reading.batch import FileRefusedError
from amad.reading.unpack import EXPORT

BLOCK_BYTES = 4 << 20
LONGEST_LINE_BYTES = 16 << 20
KEPT_BYTES = 2000  # kept of a line that is longer than that
MARKS = re.compile(rb"^(?:\xef\xbb\xbf)+", re.MULTILINE)
FIRST = 256  # characters that show whether it is a text
MOST_STRANGE = 0.05  # share of them that are no letters, digits or marks
SPACES = "\t\n\r\x0b\x0c\x01\x1e\x1f\ufeff\xa0\xad\u202f\u3000"
START_BYTES = 64  # enough to tell the encoding

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines in UTF-8, each with one line feed at its end.

    end: ``open`` if the last line is the file's last one and has no line end in the file; ``long``
    if the block is the beginning of a line that is longer than a line may be; otherwise ``line``.
    """

    data: bytes
    end: Literal["line", "open", "long"] = "line"


def blocks(pieces: Iterator[bytes], encoding: str) -> Iterator[Block]:
    """Cut a file's content into blocks of about ``BLOCK_BYTES``.

    Lines may end in LF, CR LF or CR. A byte order mark takes precedence over ``encoding``. Bytes
    that are not UTF-8 are kept; bytes that another encoding cannot decode become zeros.

    Raises:
        FileRefusedError: ``pieces`` raised it; the whole lines before the fault were yielded.
    """
    held = b""
    skipping = False  # True inside a line that is too long
    texts = _levelled(in_utf8(pieces, encoding))
    while True:
        fault = None
        parts, size = [held], len(held)
        try:
            while size < len(held) + BLOCK_BYTES and (text := next(texts, None)) is not None:
                parts.append(text)
                size += len(text)
        except FileRefusedError as error:
            fault = error
        ended = fault is None and size < len(held) + BLOCK_BYTES
        data = b"".join(parts)
        if skipping:
            at = data.find(b"\n")
            skipping, data = at < 0, data[at + 1 :] if at >= 0 else b""
        if ended and data and not data.endswith(b"\n"):
            yield Block(_without_marks(data + b"\n"), "open")
            return
        cut = data.rfind(b"\n") + 1
        if cut:
            yield Block(_without_marks(data[:cut]))
        held = data[cut:]
        if fault is not None:
            raise fault
        if ended:
            return
        if len(held) > LONGEST_LINE_BYTES:
            yield Block(held[:KEPT_BYTES] + b"\n", "long")
            held, skipping = b"", True


class WideTextError(FileRefusedError):
    """A text is in UTF-16 without a byte order mark; its argument is the encoding."""

    def __str__(self) -> str:
        return f"it looks like UTF-16: set source.encoding: {self.args[0]}"


def _without_marks(data: bytes) -> bytes:
    """Lines without the byte order marks that joined files leave at the start of a line."""
    if codecs.BOM_UTF8[0] not in data:  # one byte is sought much faster than three
        return data
    return MARKS.sub(b"", data) if codecs.BOM_UTF8 in data else data


def in_utf8(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """A file's content in UTF-8, without its byte order mark; see ``blocks``."""
    first, rest = b"", pieces
    try:
        while len(first) < START_BYTES and (piece := next(pieces, None)) is not None:
            first += piece
    except FileRefusedError as error:  # raised after the bytes before it were yielded
        rest = _raising(error)
    for mark, told in BOMS:
        if first.startswith(mark):
            encoding = told
            break
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii"):
        first = first.removeprefix(codecs.BOM_UTF8)
        _refuse_wide_text(first)
        yield first
        yield from rest
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    for number, piece in enumerate(chain([first], rest, [b""])):
        text = decoder.decode(piece, final=not piece).replace("\ufffd", "\0")
        yield (text if number else text.removeprefix("\ufeff")).encode(errors="replace")


def _raising(error: FileRefusedError) -> Iterator[bytes]:
    raise error
    yield b""


def _refuse_wide_text(start: bytes) -> None:
    """Refuse UTF-16 without a byte order mark: each letter of the header has a zero beside it."""
    start = start[:START_BYTES]
    for at, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(start) >= 8 and start[at::2].count(0) > 0.7 * len(start[at::2]):
            other = start[1 - at :: 2]
            if other.count(0) < 0.3 * len(other):
                raise WideTextError(name)


def _levelled(texts: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for text in texts:
        text = held + text
        held = b""
        if text.endswith(b"\r"):  # its line feed may be in the next piece
            text, held = text[:-1], b"\r"
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield text
    if held:
        yield b"\n"


def refuse_bytes(text: str) -> None:
    """Refuse what is no text, as its first characters show.

    Raises:
        FileRefusedError: it holds other bytes; the message shows the first ones.
    """
    start = text[:FIRST]
    if start.strip() and not start.strip().strip("\0"):
        raise FileRefusedError("it holds zeros, as a crash or a failed copy leaves: copy it again")
    strange = sum(not character.isprintable() for character in start if character not in SPACES)
    if strange > MOST_STRANGE * len(start):
        raise FileRefusedError(
            f"it is neither text nor of a known format; it begins with {start[:12]!a}: {EXPORT}"
        )
