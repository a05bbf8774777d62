"""Small parts of sentences that many messages share."""

from collections.abc import Iterable, Sequence
from datetime import date

NAMED = 5  # things that one sentence names


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 incident``, ``1,200 incidents``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def of_causes(causes: int, incidents: int, word: str = "") -> str:
    """``2 incidents``, or where some have one cause ``1 cause (12 incidents)``.

    word: before the noun, such as ``new``.
    """
    before = f"{word} " if word else ""
    if causes == incidents:
        return count(incidents, f"{before}incident")
    return f"{count(causes, f'{before}cause')} ({count(incidents, 'incident')})"


def range_of(days: Sequence[date]) -> str:
    """``2026-01-05``, ``2026-01-05 to 2026-01-09``, or ``3 dates from 2026-01-05 to 2026-01-09``.

    days: sorted. The last form says that dates between the first and the last are not among them.
    """
    first, last = days[0], days[-1]
    if len(days) <= (last - first).days:
        return f"{count(len(days), 'date')} from {first} to {last}"
    return str(first) if first == last else f"{first} to {last}"


def whole_pipeline(fleet: str) -> str:
    """What to do where stages have not run; true whichever fleets ``params.yaml`` names."""
    return f"run 'dvc repro' with {fleet} under 'fleets' in params.yaml"


def registering(fleet: str) -> str:
    """What to do where the registry lacks a version: DVC alone would not notice a deleted one."""
    return f"run 'amad register', or if nothing is trained yet {whole_pipeline(fleet)}"


def capitalised(text: str) -> str:
    """The text with a capital letter at its start, and otherwise as it is."""
    return f"{text[:1].upper()}{text[1:]}"


def some(items: Iterable[object], most: int = NAMED, separator: str = ", ") -> str:
    """``a, b and 1,200 more``; after another separator than a comma, ``a; b; and 1,200 more``."""
    texts = [str(item) for item in items]
    before = " " if separator == ", " else separator
    more = f"{before}and {len(texts) - most:,} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more


def ends_of(text: str, longest: int) -> str:
    """The text, or both ends of a longer one: an error ends with what to do."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half].rstrip()} ... {text[-half:].lstrip()}"
