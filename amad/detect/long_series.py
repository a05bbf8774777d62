"""Judges a long series piece by piece, so that memory does not grow with its length.

A piece is judged as a day of the scoring job is: with the rows around it that windows reach into,
and with the figures of the rows before, from which the slow baseline, the threshold and the memory
of constant channels follow (``amad.detect.day_state``). So the scores are those of the whole series
at once.
"""

import numpy as np

from amad.detect.combine import Before
from amad.detect.constant_channels import Record
from amad.detect.day_state import figures_us, remember
from amad.detect.member_scorer import MemberScorer
from amad.detect.scorer import Scored
from amad.windows.series import Series

PIECE_CELLS = 1_000_000  # rows times channels; judging takes some 110 bytes of memory for each
LEAST_PIECE = 4  # times the rows that are judged around a piece


def judged_in_pieces(scorer: MemberScorer, series: Series, *, whole: bool) -> Scored:
    """The scores of a scaled series. whole: the contributions of all rows, as in ``judge``."""
    around = max(scorer.window_rows, scorer.fleet.missing.min_segment_rows)
    after = max(scorer.lookahead_rows, scorer.fleet.missing.min_segment_rows)
    rows = max(PIECE_CELLS // len(scorer.fleet.channels), LEAST_PIECE * (around + after))
    edges = np.linspace(0, series.rows, max(-(-series.rows // rows), 1) + 1).astype(int)
    if len(edges) == 2:
        return scorer.judge(series, whole=whole, residuals=False).scored
    found: list[Scored] = []
    before, memory = Before.nothing(), dict[int, Record]()
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        begin = max(first - around, 0)
        piece, own = series.rows_between(begin, last + after), slice(first - begin, last - begin)
        judged = scorer.judge(piece, own.start, before, memory, whole=whole, residuals=False)
        found.append(judged.scored.of_rows(own))
        this = Before(
            time_H=piece.timestamp_T[own],
            predicted_H=judged.predicted_T[own],
            excess={name: excess_T[own] for name, excess_T in judged.excess.items()},
        )
        before = Before.joined([before, this], int(this.time_H[-1]) - figures_us(scorer))
        memory = _remembered(memory, remember(scorer, piece, own))
    return Scored.joined(found)


def _remembered(before: dict[int, Record], own: dict[int, Record]) -> dict[int, Record]:
    """The records of the rows before and of a piece."""
    return {c: Record.joined([before[c], own[c]]) if c in before else own[c] for c in own}
