"""Saves and loads a detector: ``detector.json``, ``state.safetensors`` and ``bundle/``.

Nothing is pickled. The same content gives the same bytes: arrays are written in the order of their
names, JSON with sorted keys. ``checksums.json`` holds the SHA-256 of every other file, and loading
compares them, so that a damaged file is found.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from amad.config import DataError, Fleet
from amad.config.digest import file_sha256, text_digest
from amad.config.params import DetectParams
from amad.detect.alarms import OperatingPoint
from amad.detect.array_file import ArrayFile, Groups, write_arrays
from amad.detect.detector import Detector
from amad.detect.figure_file import SavedCalibration, groups_of, use_file
from amad.detect.learnt_figures import LearntFigures
from amad.detect.members.build import build_members
from amad.detect.predictability import Predictability
from amad.telemetry.files import read_json, staged, write_json
from amad.windows.scaler import Scaler

FORMAT = 22
CONTENT, STATE, CHECKSUMS = "detector.json", "state.safetensors", "checksums.json"
AGAIN = (
    "run the evaluate stage again, and for a registered version register ('dvc repro' does both)"
)
REMEDY = (
    "take an intact copy, or run the evaluate stage again and, for a registered version, register"
)


def save_detector(detector: Detector, path: Path) -> None:
    """Write ``detector`` into the folder ``path``, in one piece."""
    with staged(path) as stage:
        _write(detector, stage)


def load_detector(path: Path, *, to_score: bool = False, called: str | None = None) -> Detector:
    """Read what ``save_detector`` wrote.

    to_score: leave a network without a vote unread, so that no time is spent on it (torch alone
    takes seconds to import). Such a detector scores, and is not to be saved again.
    called: what a message calls it, where its folder is a copy that will be gone.

    Raises:
        DataError: there is no detector at ``path``, it has another format, or a file of it is
            damaged or missing; names the file and the way out.
    """
    path = Path(path)
    content = read_json(path / CONTENT, REMEDY)
    if content is None:
        raise DataError(f"{path}: holds no detector; run the evaluate stage to make one")
    if content.get("format") != FORMAT:
        raise DataError(
            f"{called or path}: detector of format {content.get('format')}, this version reads "
            f"{FORMAT}; {AGAIN}"
        )
    check_files(path)
    try:
        bundle, params = None, DetectParams.model_validate(content["params"])
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise DataError(
            f"{called or path}: this version no longer has the setting detect.{key} of this "
            f"detector ({error.errors()[0]['input']!r}); {AGAIN}"
        ) from None
    if content["bundle"] and (params.vote > 0 or not to_score):
        from amad.model.bundle import read_bundle

        bundle = read_bundle(path / "bundle")
    detector = Detector(
        build_members(params, bundle),
        params,
        Fleet.model_validate(content["fleet"]),
        Scaler.from_json(content["scaler"]),
        name=content["name"],
        bundle=bundle,
    )
    owners = sorted(content["figures"])
    file = ArrayFile.open(path / STATE)
    file.rename(owners)
    use_file(detector.members, file)
    names = detector.fleet.channel_names
    for owner in owners:
        detector.figures[owner] = _figures_of(
            content["figures"].pop(owner), names, SavedCalibration(file, owner)
        )
    point = content["operating_point"]
    usual = {vehicle: tuple(scores) for vehicle, scores in point.pop("usual").items()}
    detector.operating_point = OperatingPoint(**point, usual=usual)
    return detector


def detector_digest(detector: Detector) -> str:
    """A short hash of the bytes that ``save_detector`` would write."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "detector"
        _write(detector, root)
        return folder_digest(root)


def folder_digest(path: Path) -> str:
    """A short hash of a saved detector's files; equals ``detector_digest`` if none is damaged.

    Raises:
        DataError: no detector at ``path``.
    """
    path = Path(path)
    if not (path / "detector.json").is_file():
        raise DataError(f"{path}: holds no detector; run the evaluate stage to make one")
    content = b""
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        content += file.relative_to(path).as_posix().encode() + b"\0"
        content += bytes.fromhex(file_sha256(file))
    return text_digest(content)


def check_files(path: Path) -> None:
    """Compare the files of a saved detector with the checksums that were saved with them.

    Raises:
        DataError: a file is damaged or missing; names it and the way out.
    """
    sums = read_json(path / CHECKSUMS, REMEDY, keys=("files",), required=True)
    for name, sha256 in sums["files"].items():
        try:
            found = file_sha256(path / name)
        except OSError as error:
            raise DataError(f"{path / name}: {error.strerror}; {REMEDY}") from None
        if found != sha256:
            raise DataError(
                f"{path / name}: damaged, its content is not what was saved (see {CHECKSUMS}); "
                f"{REMEDY}"
            )


def _write(detector: Detector, folder: Path) -> None:
    """Write every file of the detector, the checksums last."""
    folder.mkdir(parents=True)
    owners = sorted(detector.figures)

    def groups(k: str) -> Groups:
        owner = owners[int(k)]
        return groups_of(detector.members, owner, detector.figures[owner].calibration)

    write_arrays(folder / STATE, [str(k) for k in range(len(owners))], groups)
    assert detector.operating_point is not None, "fit the detector first"
    content = {
        "format": FORMAT,
        "name": detector.name,
        "params": detector.params.model_dump(mode="json"),
        "fleet": detector.fleet.model_dump(mode="json"),
        "scaler": detector.scaler.to_json(),
        "figures": {
            owner: _written(figures, detector.fleet.channel_names)
            for owner, figures in sorted(detector.figures.items())
        },
        "operating_point": asdict(detector.operating_point),
        "bundle": detector.bundle is not None,
    }
    with (folder / CONTENT).open("w", encoding="utf-8") as out:
        json.dump(content, out, indent=1, sort_keys=True)
        out.write("\n")
    if detector.bundle is not None:
        from amad.model.bundle import write_bundle

        write_bundle(folder / "bundle", detector.bundle)
    found = sorted(file for file in folder.rglob("*") if file.is_file())
    files = {file.relative_to(folder).as_posix(): file_sha256(file) for file in found}
    write_json(folder / CHECKSUMS, {"files": files})


def _written(figures: LearntFigures, channels: Sequence[str]) -> dict:
    """The figures of one owner as JSON, all but the arrays; ``_figures_of`` reads them."""
    return {
        "predictability": figures.predictability._asdict(),
        "excess_threshold": figures.excess_threshold,
        "allowance": figures.allowance,
        "constant": {channels[c]: v for c, v in figures.constant.items()},
        "paused": [channels[c] for c in sorted(figures.paused)],
        "nearly_constant": {channels[c]: v for c, v in figures.nearly_constant.items()},
    }


def _figures_of(
    written: dict, channels: Sequence[str], calibration: SavedCalibration
) -> LearntFigures:
    """What ``_written`` made, with the arrays of the same owner."""
    position = {name: c for c, name in enumerate(channels)}
    constant, nearly_constant = (
        {position[name]: tuple(v) for name, v in written[key].items()}
        for key in ("constant", "nearly_constant")
    )
    return LearntFigures(
        calibration=calibration,
        predictability=Predictability(**written["predictability"]),
        excess_threshold=written["excess_threshold"],
        allowance=written["allowance"],
        constant=constant,
        paused=frozenset(position[name] for name in written["paused"]),
        nearly_constant=nearly_constant,
    )
