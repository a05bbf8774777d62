"""The globs of ``source.files``: they find the files of the draft, and none that it leaves out."""

import glob
import os
import re
from itertools import product, takewhile
from pathlib import Path

from amad.draft.file_names import DATE
from amad.draft.listing import ROTATED, suffix_of
from amad.draft.vehicles import PART, YEAR, parts_of
from amad.reading.rules import is_left_out


def file_sets(
    folder: Path, paths: list[str], others: list[str], broken: list[str]
) -> list[dict[str, str]]:
    """The globs that find these files and none of the others, each with its part.

    broken: files that cannot be read now. A glob may find these, too, if none is found without
    them: ingest names them until they are mended, and new files are found.
    """
    parts = parts_of(paths)
    sets = []
    for part in ("train", "all", "test"):
        mine = [path for path in paths if parts[path] == part]
        if mine:
            rest = [path for path in paths if parts[path] != part] + others
            sets += [{"glob": g, "part": part} for g in _globs(folder, mine, rest, broken)]
    return sets


def _globs(folder: Path, mine: list[str], others: list[str], broken: list[str]) -> list[str]:
    found: list[str] = []
    for ending in sorted({_ending(path) for path in mine}):
        those = {path for path in mine if _ending(path) == ending}
        stem = _glob_of_common(those, ending)
        one = [glob.escape(path) for path in those] if len(those) == 1 else []
        mended = {path for path in broken if _ending(path) == ending}
        below = [f"{glob.escape(name)}/**/*{ending}" for name in _folders_of(those)]
        anywhere = (*below, f"**/*{ending}")
        patterns = (f"*{ending}", stem, *anywhere, f"**/{stem}")
        if one:  # its own name finds none of the files to come, so it is the last resort
            patterns = (f"*{ending}", *anywhere, *(one if not mended else ()))
        all_others = {*others, *broken}
        hits_of = {pattern: _hits(folder, pattern) for pattern in patterns}
        every = those | (hits_of[anywhere[-1]] - all_others)  # also those that ingest will refuse
        ways = product((every, those), (all_others, all_others - mended), patterns)
        for wanted, avoided, pattern in ways:
            hits = hits_of[pattern]
            if wanted <= hits and not hits & avoided and pattern not in found:
                found.append(pattern)
                break
        else:
            found += one or [glob.escape(path) for path in sorted(those)]
    return found


def _ending(path: str) -> str:
    """The ending of a file's name, with a pattern for the number of a log that was rotated."""
    return ROTATED.sub(".[0-9]*", suffix_of(path))


def _hits(folder: Path, pattern: str) -> set[str]:
    found = (p.relative_to(folder).as_posix() for p in folder.glob(pattern) if p.is_file())
    return {hit for hit in found if not is_left_out(hit)}


def _folders_of(paths: set[str]) -> list[str]:
    """The innermost folder that holds all paths; empty if that is the fleet's own folder.

    It ends above a folder of a date or of a key, vehicle=van-1, as others will come beside these.
    """
    common = os.path.commonpath([Path(path).parent.as_posix() for path in paths]).split("/")
    kept = takewhile(lambda n: not (YEAR.match(n) or DATE.search(n) or "=" in n), common)
    return list(filter(None, ["/".join(kept)]))


def _glob_of_common(paths: set[str], ending: str) -> str:
    """A glob of what all names begin and end with: ``machine-*_test.parquet``."""
    names = [Path(path).name.removesuffix(suffix_of(path)) for path in sorted(paths)]
    # Names are compared character by character here, not folder by folder.
    start, end = map(os.path.commonprefix, (names, [n[::-1] for n in names]))
    head, tail = re.sub(r"\d+$", "", start), re.sub(r"^\d+", "", end[::-1])
    if min(map(len, names)) < len(head) + len(tail) or len(names) == 1:
        head = ""
        found = PART.search(names[0])
        tail = found[0] if found else names[0]
    return f"{glob.escape(head)}*{glob.escape(tail)}{ending}"
