"""A JSON file that one stage leaves for the others, as a typed value with one reader and writer."""

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from amad.config import DataError
from amad.telemetry.files import SEAL, damaged, read_json, write_json

EMPTY: Any = Field(default_factory=dict)  # of an entry: a default of {} is copied deeply for each


class Entry(BaseModel):
    """A typed part of an artifact, which may have a million of them."""

    model_config = ConfigDict(frozen=True)


class Artifact(BaseModel):
    """The content of a file below ``data/<fleet>``; its keys are the fields.

    Only fields that were given are written, so an optional key that says nothing is not in the
    file (but see WHOLE). Unknown keys, of another version of amad, are left out when it is read.

    FILE: where the file lies in the fleet's folder. REMEDY: what the reader of an error should do,
    as the end of a sentence: "run 'amad train'". SEALED: whether a file without a seal is damaged.
    WHOLE: whether fields that were not given are written with their default.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    FILE: ClassVar[str]
    REMEDY: ClassVar[str]
    SEALED: ClassVar[bool] = False
    WHOLE: ClassVar[bool] = False

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The artifact in the fleet's folder; None where its stage has not run.

        Raises:
            DataError: the file is damaged; names it and the remedy.
        """
        return cls.read_file(folder / cls.FILE)

    @classmethod
    def require(cls, folder: Path) -> Self:
        """The artifact in the fleet's folder.

        Raises:
            DataError: the file is damaged, or its stage has not run; names it and the remedy.
        """
        found = cls.read(folder)
        if found is None:
            raise DataError(f"{folder / cls.FILE} is missing; {cls.REMEDY}")
        return found

    @classmethod
    def read_file(cls, path: Path) -> Self | None:
        """The artifact in a file of any name; see ``read``."""
        content = read_json(path, cls.REMEDY, keys=[SEAL] if cls.SEALED else [])
        if content is None:
            return None
        if why := content.get("left_out"):
            raise DataError(f"{path}: {why}")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise damaged(path, cls.REMEDY, _why(error)) from None

    def content(self) -> dict:
        """What the file holds, beside its seal."""
        return self.model_dump(mode="json", exclude_unset=not self.WHOLE)

    def write(self, folder: Path) -> None:
        """Write the file in the fleet's folder, sealed and in one piece."""
        self.write_file(folder / self.FILE)

    def write_file(self, path: Path) -> None:
        """Write the file under any name; see ``write``."""
        write_json(path, self.content(), sealed=True)


def _why(error: ValidationError) -> str:
    """The first thing that is wrong, or all the keys that are missing."""
    wrong = error.errors()
    lacks = [".".join(map(str, item["loc"])) for item in wrong if item["type"] == "missing"]
    if lacks:
        return f"it has no {', '.join(lacks)}"
    return f"{'.'.join(map(str, wrong[0]['loc']))}: {wrong[0]['msg']}"
