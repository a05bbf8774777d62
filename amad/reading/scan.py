"""Find the lines of a block that Arrow can parse as they are, without a loop over lines.

Shape legend: L lines, D delimiters, Q quotes of a block.
"""

import numpy as np

LINE_FEED, QUOTE = 10, 34


def line_ends(data: bytes) -> np.ndarray:
    """The end (L,) of each line without its line feed; ``data`` must end in a line feed."""
    return np.flatnonzero(np.frombuffer(data, np.uint8) == LINE_FEED)


def may_hold(data: bytes, lower: bytes) -> bool:
    """Are all bytes of a text in the data, in lower or in upper case?

    One byte is sought much faster than a text.
    """
    pairs = zip(lower, lower.upper(), strict=True)
    return all(small in data or large in data for small, large in pairs)


def delimiters(data: bytes, end_L: np.ndarray, delimiter: str) -> np.ndarray:
    """The number of delimiters (L,) in each line, those in quotes included.

    A bit per byte is counted in words of 64, as most bytes of numbers stand beside a delimiter.
    """
    bits = np.packbits(np.frombuffer(data, np.uint8) == ord(delimiter), bitorder="little")
    word_W = np.zeros(len(bits) // 8 + 1, "<u8")
    word_W.view(np.uint8)[: len(bits)] = bits
    before_W = np.cumsum(np.bitwise_count(word_W), dtype=np.int64) - np.bitwise_count(word_W)
    below_L = (np.uint64(1) << (end_L % 64).astype(np.uint64)) - np.uint64(1)
    upto_L = before_W[end_L // 64] + np.bitwise_count(word_W[end_L // 64] & below_L)
    return np.diff(upto_L, prepend=0)


def lines_of_words(data: bytes, start_L: np.ndarray, end_L: np.ndarray) -> np.ndarray:
    """Numbers of the lines that hold no digit, or stand below an empty line; never empty ones."""
    digit = np.frombuffer(data, np.uint8) - ord("0") < 10  # bytes before "0" wrap to large numbers
    empty_L = start_L == end_L
    below_empty_L = np.concatenate([[False], empty_L[:-1]])
    worded_L = ~np.logical_or.reduceat(digit, start_L) if len(start_L) else empty_L
    return np.flatnonzero((worded_L | below_empty_L) & ~empty_L)


def levelled(
    data: bytes, delimiter: str, width: int, named: int, *, pad: bool
) -> tuple[bytes, np.ndarray, np.ndarray, np.ndarray]:
    """Bring the lines to ``width`` fields: drop a surplus empty one, or add missing ones (``pad``).

    This does for many plain lines at once what ``layout.mended`` does for one. Lines with quotes
    and lines with a single field are not changed.

    Returns:
        The data, the end (L,) of each line in it without its line feed, its ``delimiters``, and
        which of these lines (L,) had fewer than ``named`` fields.
    """
    end_L = line_ends(data)
    byte, count_L = np.frombuffer(data, np.uint8), delimiters(data, end_L, delimiter)
    plain_L = count_L > 0
    if b'"' in data:
        plain_L[np.searchsorted(end_L, np.flatnonzero(byte == QUOTE))] = False
    short_L = plain_L & (count_L < named - 1)
    over_L = plain_L & (count_L == width) & (byte[end_L - 1] == ord(delimiter))
    if over_L.any():
        short = np.delete(byte, end_L[over_L] - 1).tobytes()
        return short, end_L - np.cumsum(over_L), count_L - over_L, short_L
    under_L = plain_L & (count_L < width - 1)
    if pad and under_L.any():
        missing_L = np.where(under_L, width - 1 - count_L, 0)
        long = np.insert(byte, np.repeat(end_L, missing_L), ord(delimiter)).tobytes()
        return long, end_L + np.cumsum(missing_L), count_L + missing_L, short_L
    return data, end_L, count_L, short_L


def clean_lines(
    data: bytes, start_L: np.ndarray, end_L: np.ndarray, count_L: np.ndarray, delimiter: str,
    width: int,
) -> np.ndarray:  # fmt: skip
    """True (L,) where a line has ``width`` fields, each plain or enclosed in quotes.

    count_L: the ``delimiters`` of each line. The lines are consecutive in ``data``. A line is not
    clean if it is empty or holds doubled or stray quotes, zeros, or bytes that are not UTF-8.
    """
    if len(start_L) == 0:
        return np.zeros(0, bool)
    first, last = int(start_L[0]), int(end_L[-1]) + 1
    data = data[first:last] if (first, last) != (0, len(data)) else data
    start_L, end_L = start_L - first, end_L - first
    byte = np.frombuffer(data, np.uint8)
    clean_L = start_L < end_L
    if b'"' in data:
        at_D = np.flatnonzero(byte == ord(delimiter))
        count_L, well_L = _outside_quotes(byte, at_D, start_L, end_L, delimiter)
        clean_L &= well_L
    clean_L &= count_L == width - 1
    if b"\0" in data:
        zero_L = np.searchsorted(end_L, np.flatnonzero(byte == 0))
        clean_L[zero_L] = False
    if not data.isascii() and not _is_utf8(data):
        for line, (start, end) in enumerate(zip(start_L, end_L, strict=True)):
            clean_L[line] &= _is_utf8(data[start:end])
    return clean_L


def _outside_quotes(
    byte: np.ndarray, at_D: np.ndarray, start_L: np.ndarray, end_L: np.ndarray, delimiter: str
) -> tuple[np.ndarray, np.ndarray]:
    """The number of delimiters outside quotes, and whether all quotes enclose fields, each (L,)."""
    at_Q = np.flatnonzero(byte == QUOTE)
    before_L = np.searchsorted(at_Q, start_L)  # quotes before each line
    line_Q = np.repeat(np.arange(len(end_L)), np.diff(before_L, append=len(at_Q)))
    opens_Q = (np.arange(len(at_Q)) - before_L[line_Q]) % 2 == 0
    left_Q, right_Q = byte[np.maximum(at_Q - 1, 0)], byte[at_Q + 1]
    after_border_Q = (at_Q == start_L[line_Q]) | (left_Q == ord(delimiter))
    before_border_Q = (right_Q == LINE_FEED) | (right_Q == ord(delimiter))
    fits_Q = np.where(opens_Q, after_border_Q, before_border_Q)
    well_L = np.diff(np.searchsorted(at_Q, end_L), prepend=0) % 2 == 0
    well_L[line_Q[~fits_Q]] = False
    line_D = np.repeat(np.arange(len(end_L)), np.diff(np.searchsorted(at_D, end_L), prepend=0))
    before_D = np.cumsum(byte == QUOTE, dtype=np.uint8)[at_D]  # quotes; only odd or even counts
    inside_D = (before_D - before_L[line_D]) % 2 == 1
    return np.bincount(line_D[~inside_D], minlength=len(end_L)), well_L


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
