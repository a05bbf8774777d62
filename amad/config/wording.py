"""Small parts of sentences that many messages share."""

from collections.abc import Iterable

NAMED = 5  # things that one sentence names


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 incident``, ``1,200 incidents``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def some(items: Iterable[object], most: int = NAMED, separator: str = ", ") -> str:
    """``a, b and 3 more``."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more
