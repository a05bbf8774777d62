"""The files that only add to a page of the report, and which of them cannot be read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from amad.config import DataError, usable_error
from amad.config.console import say

T = TypeVar("T")


@dataclass(slots=True)
class Unread:
    """Of each file that could not be read, the sentence that names it and tells how to mend it.

    A page that lacks a figure is worth more in the morning than none, so the page does without
    these files. What is scored is never left out.
    """

    sentences: list[str] = field(default_factory=list)

    def read(self, read: Callable[[], T]) -> T | None:
        """What ``read`` returns; None where the file is damaged or may not be read."""
        try:
            return read()
        except (DataError, PermissionError) as error:
            sentence = str(usable_error(error))
            if sentence not in self.sentences:
                say(f"the report does without what cannot be read: {sentence}")
                self.sentences.append(sentence)
            return None
