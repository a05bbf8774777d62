"""A CSV file as batches: Arrow parses clean lines as they are, others are mended first.

Arrow reads quotes across line ends, and one row with a wrong number of fields fails a whole block.
So each block is checked first: a line that does not have the header's number of fields is mended
(empty fields at its end are added or removed), left out (empty, or a repeated header) or refused.

Shape legend: L lines of a block, R rows of a batch.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from amad.config.source import Source
from amad.reading import lines as text_lines
from amad.reading.batch import (
    COMMENT,
    REPEATED_HEADER,
    REPEATED_PREAMBLE,
    UNITS,
    FileRefusedError,
    RawBatch,
    Resolve,
)
from amad.reading.cut_rows import ROWS_BEFORE, is_cut
from amad.reading.fields import BrokenLineError, texts_of
from amad.reading.layout import (
    HEADER_WITHIN_LINES,
    Layout,
    find_header,
    mended,
    preamble_of_restart,
    rows_before,
)
from amad.reading.line_breaks import with_whole_names, without_breaks
from amad.reading.lines import Block
from amad.reading.numbers import EXACT
from amad.reading.scan import clean_lines, levelled, lines_of_words, may_hold
from amad.reading.units import is_known
from amad.reading.unpack import unpacked

# Without a delimiter in it; where it has some, it may be a row.
NO_ROW = re.compile(rb"\s*(#|//|\[[\w ]*\]\s*$|[-=+*_~]{3}[-=+*_~\s]*$)")
CUT_VALUE = "a cut row: its last value is cut or missing, as the rows before it show"
KEPT_CHARACTERS = 2000  # kept of a refused line
MOST_UNIT_LINES = 3  # most lines under a header that tell units, sources or types
COMMON_TOKEN_LINES = 200  # a word that more lines of a block hold is no sign of a header
# Words for "no value" that Arrow makes null. ``numbers`` also knows them in any case and with
# spaces around them.
NULLS = [
    "", "-", "--", "---", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN",
    "-NaN", "-nan", "NaN", "nan", "NAN", "N/A", "n/a", "NA", "na", "NULL", "null", "Null",
    "None", "none", "NONE", "nil", "NIL",
]  # fmt: skip


def read_csv(
    path: Path, source: Source, resolve: Resolve, plain: Collection[str] = ()
) -> Iterator[RawBatch]:
    """Stream a CSV file; see ``readers.read_batches``."""
    blocks = text_lines.blocks(unpacked(path), source.encoding)
    head = next(blocks, Block(b""))
    first = with_whole_names(head.data.split(b"\n", HEADER_WITHIN_LINES)[:HEADER_WITHIN_LINES])
    at, layout = find_header(first, source, resolve)
    early = dict(rows_before(first[:at], layout, source.delimiter))
    preamble = [
        line.decode(errors="replace") for n, line in enumerate(first[:at]) if n not in early
    ]
    for line in preamble:
        layout.tells_factors(texts_of(line, source.delimiter) or [], below_units=None)
    after = sum(len(line) + 1 for line in first[: at + 1])
    reader = _Reader(source, resolve, layout, preamble, plain)
    if early:
        yield reader.refused([(reason, first[line]) for line, reason in early.items()])
    if after < len(head.data):
        yield from reader.read(Block(head.data[after:], head.end))
    for block in blocks:
        yield from reader.read(block)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """L lines of a block, in their order; a slice of them marks the same lines."""

    data: bytes  # the whole block
    is_open: bool  # its last line is the file's last one, without a line end
    start_L: np.ndarray
    end_L: np.ndarray
    count_L: np.ndarray  # the delimiters in each line
    left_out_L: np.ndarray  # bool: lines that are no rows
    cut_L: np.ndarray  # bool: rows whose end is missing
    short_L: np.ndarray  # bool: lines with fewer fields than the header

    @classmethod
    def of(
        cls, data: bytes, end_L: np.ndarray, count_L: np.ndarray, short_L: np.ndarray, *,
        is_open: bool,
    ) -> Self:  # fmt: skip
        start_L = np.concatenate([[0], end_L[:-1] + 1])
        left_out_L, cut_L = np.zeros((2, len(start_L)), bool)
        return cls(
            data=data, is_open=is_open, start_L=start_L, end_L=end_L, count_L=count_L,
            left_out_L=left_out_L, cut_L=cut_L, short_L=short_L,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.start_L)

    def __getitem__(self, part: slice) -> Self:
        return replace(
            self, start_L=self.start_L[part], end_L=self.end_L[part],
            count_L=self.count_L[part], left_out_L=self.left_out_L[part],
            cut_L=self.cut_L[part], short_L=self.short_L[part],
        )  # fmt: skip

    def texts(self) -> list[bytes]:
        """The text of each line, without its line feed."""
        return [self.data[a:b] for a, b in zip(self.start_L, self.end_L, strict=True)]


class _Reader:
    """Reads the blocks after the header; keeps the current header and the number of rows."""

    def __init__(
        self, source: Source, resolve: Resolve, layout: Layout, preamble: list[str],
        plain: Collection[str],
    ) -> None:  # fmt: skip
        self._source = source
        self._resolve = resolve
        self._delimiter = source.delimiter
        self._mark = source.delimiter.encode()
        self._layout = layout
        self._preamble = preamble
        self._plain = plain
        self._units: dict[str, str] = {}
        self._rows = 0
        self._unit_lines = 0  # that tell units, so far, below the header above the next line
        self._ignored: Counter = Counter()  # lines that are no rows, since the last batch

    def refused(self, lines: list[tuple[str, bytes]]) -> RawBatch:
        """A batch of rows none of which can be read, from the reason and the text of each."""
        broken = []
        for reason, text in lines:
            self._rows += 1
            broken.append((self._rows, reason, _shortened(text)))
        return self._batch(b"", [], broken)

    def read(self, block: Block) -> Iterator[RawBatch]:
        """The rows of a block, one batch for each part that has a header of its own."""
        if block.end == "long":
            yield self.refused([("a line of over 16 MB", block.data.rstrip(b"\n"))])
            return
        pad = block.end == "line" and not self._preamble  # a preamble is compared as it is
        width, named = self._layout.width, self._layout.named
        data = without_breaks(block.data, self._delimiter, named, width)
        levels = levelled(data, self._delimiter, width, named, pad=pad)
        lines = _Lines.of(*levels, is_open=block.end == "open")
        first = 0  # line of the part that is not yielded yet
        self._leave_out_units(lines)
        for at, fields in self._header_lines(lines):
            before, below = lines[first:at], lines[at + 1 :]
            same = self._layout.repeats(fields)
            preamble = self._preamble_before(before)
            self._leave_out_header(lines[: at + 1], len(preamble))
            if not same or preamble or self._tells_units(below):
                yield self._part(lines[first : at + 1])
                first = at + 1
                self._preamble = self._preamble[: -len(preamble) or None] + preamble
            if not same:
                self._take(fields)
            self._leave_out_units(below)
        if lines.is_open:
            self._mark_if_cut(lines)
        yield self._part(lines[first:])

    def _leave_out_units(self, lines: _Lines) -> None:
        """Leave out the first lines if they tell units, or what else is told of a column."""
        for at, text in enumerate(lines[: MOST_UNIT_LINES - self._unit_lines].texts()):
            units = self._units_in(text)
            if units is None:
                self._unit_lines = MOST_UNIT_LINES
                return
            told = {n: u for n, u in self._units.items() if u and self._unit_lines}
            known = {n: unit for n, unit in told.items() if is_known(unit)}
            if 2 * len(known) <= len(told):  # else the line before tells the units, of all columns
                self._units = units | known
            self._unit_lines += 1
            lines.left_out_L[at] = True
            self._ignored[UNITS] += 1

    def _tells_units(self, lines: _Lines) -> bool:
        return any(self._units_in(text) is not None for text in lines[:1].texts())

    def _leave_out_header(self, lines: _Lines, preamble: int) -> None:
        """Leave out the last line, a header, and as many lines of a preamble before it."""
        rows = len(lines) - 1 - preamble
        lines.left_out_L[rows:] = True
        self._mark_if_cut(lines[:rows])
        self._ignored[REPEATED_HEADER] += 1
        self._ignored[REPEATED_PREAMBLE] += preamble
        self._unit_lines = 0

    def _mark_if_cut(self, lines: _Lines) -> None:
        """Mark the last line if it is a cut row, as those before it show."""
        texts = lines[-1 - ROWS_BEFORE :].texts()
        if texts:
            lines.cut_L[-1] = is_cut(texts[:-1], texts[-1], self._layout, self._source)

    def _units_in(self, line: bytes) -> dict[str, str] | None:
        """Name -> unit, if this is a line of units; else None."""
        fields = self._fields(line)
        if fields is None:
            return None
        if not self._layout.tells_units(fields) or self._layout.resembles(fields):
            below = 0 < self._unit_lines < MOST_UNIT_LINES
            return {} if self._layout.tells_factors(fields, below_units=below) else None
        position = self._layout.position.items()
        return {name: fields[at].strip() for name, at in position if at < len(fields)}

    def _take(self, fields: list[str]) -> None:
        try:
            text = self._delimiter.join(fields).strip()
            self._layout = Layout(fields, self._resolve(fields), text)
        except FileRefusedError as error:
            raise FileRefusedError(
                f"there is another header after row {self._rows}, and the rows below it cannot be "
                f"read: {error}"
            ) from None

    def _header_lines(self, lines: _Lines) -> list[tuple[int, list[str]]]:
        """The numbers and the fields of the lines that are headers."""
        tokens = [token for token in self._layout.tokens() if may_hold(lines.data, token)]
        lower, end_L = lines.data.lower() if tokens else b"", lines.end_L
        candidates: set[int] = set()
        for token in tokens:
            found: set[int] = set()
            at = lower.find(token)
            while at >= 0 and len(found) <= COMMON_TOKEN_LINES:
                line = int(np.searchsorted(end_L, at))
                found.add(line)
                at = lower.find(token, int(end_L[line]))
            if len(found) <= COMMON_TOKEN_LINES:
                candidates |= found
        wordy = set(lines_of_words(lines.data, lines.start_L, end_L)[:COMMON_TOKEN_LINES].tolist())
        headers = []
        for line in sorted(candidates | wordy):
            fields, *below = map(self._fields, lines[line : line + 3].texts())
            if fields is None:
                continue
            rows = [row for row in below if row is not None]
            if self._layout.resembles(fields) or (
                line in wordy
                and not lines.left_out_L[line]  # a line of units
                and self._layout.begins_another(fields, rows)
            ):
                headers.append((line, fields))
        return headers

    def _fields(self, line: bytes) -> list[str] | None:
        return texts_of(line.decode(errors="replace"), self._delimiter)

    def _preamble_before(self, lines: _Lines) -> list[str]:
        """The last of these lines, if they can be the preamble of another recording."""
        last = lines[max(0, len(lines) - len(self._preamble)) :].texts()
        return preamble_of_restart(last, self._preamble, self._layout.width, self._delimiter)

    def _part(self, lines: _Lines) -> RawBatch:
        """The rows of consecutive lines under one header, without the lines left out."""
        data, layout, start_L, end_L = lines.data, self._layout, lines.start_L, lines.end_L
        good_L = clean_lines(data, start_L, end_L, lines.count_L, self._delimiter, layout.width)
        good_L &= ~lines.left_out_L & ~lines.cut_L
        row_L = ~lines.left_out_L
        broken: dict[int, tuple[str, str]] = {}
        pieces: list[bytes | memoryview] = []
        view, copied = memoryview(data), int(start_L[0]) if len(start_L) else 0
        comments = 0
        for line in np.flatnonzero(~good_L):
            start, end = int(start_L[line]), int(end_L[line])
            pieces.append(view[copied:start])
            copied = end + 1
            text = data[start:end]
            if lines.left_out_L[line] or not text.strip():
                row_L[line] = False
                continue
            if layout.width > 1 and self._mark not in text and NO_ROW.match(text):
                row_L[line], comments = False, comments + 1
                continue
            is_open = lines.is_open and end + 1 == len(data)
            try:
                whole = mended(text, layout, self._source, is_open=is_open)
                if lines.cut_L[line]:
                    raise BrokenLineError(CUT_VALUE)
                pieces.append(whole + b"\n")
                good_L[line] = True
            except BrokenLineError as error:
                broken[int(line)] = str(error), _shortened(text)
        if len(start_L):
            pieces.append(view[copied : int(end_L[-1]) + 1])
        number_L = self._rows + np.cumsum(row_L)
        self._rows += int(row_L.sum())
        told = [(int(number_L[line]), reason, text) for line, (reason, text) in broken.items()]
        self._ignored[COMMENT] += comments
        batch = self._batch(b"".join(pieces), number_L[good_L], told)
        batch.short = int((lines.short_L & good_L).sum())
        return batch

    def _batch(self, data: bytes, row_R, broken: list[tuple[int, str, str]]) -> RawBatch:
        layout, source = self._layout, self._source
        texts = None
        if len(row_R):
            columns = self._numbers(data)
            if columns is None:
                columns = _parsed(data, layout, source)
            else:
                texts = partial(_parsed, data, layout, source)
            assert all(len(column) == len(row_R) for column in columns.values())
        else:
            columns = {name: pa.nulls(0, pa.string()) for name in layout.position}
        ignored, self._ignored = self._ignored, Counter()
        return RawBatch(
            row_R=np.asarray(row_R, np.int64),
            columns=columns,
            headers=layout.names,
            texts=texts,
            broken=broken,
            preamble=self._preamble,
            units=self._units,
            ignored={what: count for what, count in ignored.items() if count},
        )

    def _numbers(self, data: bytes) -> dict[str, pa.Array] | None:
        """The columns with the plain ones as numbers; None where text tells more than they do."""
        plain = set(self._plain) & set(self._layout.position)
        if not plain:
            return None
        try:
            columns = _parsed(data, self._layout, self._source, plain)
        except pa.ArrowInvalid:
            self._plain = ()  # the next block is likely to be the same
            return None
        # Of a large number ``numbers`` looks at the text. What stands for null may be any number.
        values = (
            np.frombuffer(columns[n].buffers()[1], np.float64, len(columns[n])) for n in plain
        )
        is_exact = all(v.max() < EXACT and v.min() > -EXACT for v in values)
        return columns if is_exact else None


def _parsed(
    data: bytes, layout: Layout, source: Source, plain: Collection[str] = ()
) -> dict[str, pa.Array]:
    """The columns to read, as text or float64 (``plain``).

    All lines must have the layout's number of fields.
    """
    columns = {name: f"f{at}" for name, at in layout.position.items()}  # Arrow's own names
    kinds = {f: pa.float64() if name in plain else pa.string() for name, f in columns.items()}
    table = pa_csv.read_csv(
        pa.BufferReader(data),
        read_options=pa_csv.ReadOptions(
            autogenerate_column_names=True, block_size=len(data) + 1, use_threads=False
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=source.delimiter, quote_char='"' if b'"' in data else False
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=kinds,
            include_columns=list(columns.values()),
            null_values=NULLS,  # ``numbers`` looks for the fleet file's own words and counts them
            strings_can_be_null=True,
        ),
    )
    told = {  # one block of bytes has become one chunk
        name: column.chunk(0) for name, column in zip(layout.position, table.columns, strict=True)
    }
    tight = {name: pc.utf8_trim_whitespace(told[name]) for name in told if name not in plain}
    spaced = {name: column for name, column in tight.items() if not column.equals(told[name])}
    delimiter = source.delimiter.encode()
    if not spaced:  # to seek two bytes takes nearly as long as to parse the block
        return told
    if delimiter + b" " in data or b" " + delimiter in data or data.startswith(b" "):
        nothing, words = pa.scalar(None, pa.string()), pa.array(NULLS, pa.string())
        told |= {n: pc.if_else(pc.is_in(c, words), nothing, c) for n, c in spaced.items()}
    return told


def _shortened(line: bytes) -> str:
    text = line.decode(errors="replace")
    if len(text) <= KEPT_CHARACTERS:
        return text
    return f"{text[:KEPT_CHARACTERS]} ... ({len(line):,} bytes)"
