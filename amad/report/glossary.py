"""The words that the page explains: read from docs/glossary.md, the one list of definitions."""

import html
import re
from functools import cache
from pathlib import Path

from markupsafe import Markup

import amad

FILE = Path(amad.__file__).parents[1] / "docs" / "glossary.md"
ROW = re.compile(r"^\| \*\*(?P<words>[^*]+)\*\* \| (?P<meaning>.+) \|$")
CODE, STRESSED = re.compile(r"`([^`]+)`"), re.compile(r"\*([^*]+)\*")


@cache
def glossary(file: Path = FILE) -> dict[str, str]:
    """Word -> its meaning in Markdown; a row with several words gives each of them its meaning.

    Empty where the documentation is not beside the package; the page then explains no word.
    """
    if not file.is_file():
        return {}
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if row := ROW.match(line):
            for word in row["words"].split(", "):
                found[word] = row["meaning"]
    return found


class Explained:
    """Marks words in the page, and remembers which, so that each is explained once."""

    def __init__(self, known: dict[str, str]) -> None:
        self._known = known
        self._used: dict[str, str] = {}

    def __call__(self, word: str, shown: str = "") -> Markup:
        """The word as a button that shows its meaning; plain text where it has none.

        shown: the form of the word that stands in the sentence.
        """
        shown = html.escape(shown or word)
        if word not in self._known:
            return Markup(shown)
        name = self._used.setdefault(word, f"word-{re.sub(r'[^a-z0-9]+', '-', word.lower())}")
        return Markup(
            f'<button type="button" class="term" popovertarget="{name}" '
            f'aria-describedby="{name}">{shown}</button>'
        )

    @property
    def words(self) -> list[tuple[str, str, Markup]]:
        """(id, word, meaning as HTML) of the words marked so far, in order of the alphabet."""
        return [
            (self._used[word], word, _as_html(self._known[word]))
            for word in sorted(self._used, key=str.lower)
        ]


def _as_html(meaning: str) -> Markup:
    """The little Markdown that a cell of the glossary has."""
    coded = CODE.sub(r"<code>\1</code>", html.escape(meaning))
    return Markup(STRESSED.sub(r"<em>\1</em>", coded))
