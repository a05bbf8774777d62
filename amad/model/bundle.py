"""The bundle: a trained network with all that scoring needs, readable by a person, no pickle.

A folder of ``weights.safetensors`` and ``bundle.json`` (format, channels, levels, params, the fleet
contract, the scaler, the weights' digest, a digest of all these, and meta: data hash, commit, seed,
as the caller has them). The same content gives the same bytes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from safetensors.torch import load, save

from amad.config import DataError, Fleet, Params
from amad.config.digest import json_sha256, sha256_of
from amad.model.levels import Levels
from amad.model.network import Amad
from amad.telemetry.files import staged, write_json
from amad.windows.scaler import Scaler

FORMAT = 4
M = TypeVar("M", bound=BaseModel)
WEIGHTS, CONTENT = "weights.safetensors", "bundle.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What ``read_bundle`` returns; the model is on the CPU, in evaluation mode."""

    model: Amad
    params: Params
    fleet: Fleet
    scaler: Scaler | None  # None: of an untrained network, which is not saved
    meta: dict


def write_bundle(
    path: Path, model: Amad, params: Params, fleet: Fleet, scaler: Scaler, meta: dict
) -> None:
    """Write the bundle folder in one piece.

    meta: what JSON can hold, without a time of day where the same training should give the same
    bytes.
    """
    assert model.channels == len(fleet.channels), "the network's channels are the fleet's"
    state = {name: weight.cpu().contiguous() for name, weight in model.state_dict().items()}
    weights = save(state)
    with staged(path) as stage:
        stage.mkdir()
        (stage / WEIGHTS).write_bytes(weights)
        content = {
            "format": FORMAT,
            "channels": fleet.channel_names,
            "levels": model.levels.to_json(),
            "params": params.model_dump(mode="json"),
            "fleet": fleet.model_dump(mode="json"),
            "scaler": scaler.to_json(),
            "weights_sha256": sha256_of(weights),
            "meta": meta,
        }
        content["content_sha256"] = _digest_of(content)
        write_json(stage / CONTENT, content)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle folder.

    Raises:
        DataError: a file is missing, incomplete, of another format, or does not fit the others;
            the message names it.
    """
    path = Path(path)
    weights, text = (_bytes(path / name) for name in (WEIGHTS, CONTENT))
    where = path / CONTENT
    try:
        content = json.loads(text)
        intact = content.pop("content_sha256", None) == _digest_of(content)
        if (version := content["format"]) != FORMAT:
            raise DataError(
                f"{where}: has format {version}, this version reads {FORMAT}; train again"
            )
        channels, levels, params, fleet, scaler, digest, meta = (
            content[key]
            for key in (
                "channels", "levels", "params", "fleet", "scaler", "weights_sha256", "meta",
            )
        )  # fmt: skip
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: not a bundle's JSON ({error}); train again") from None
    except KeyError as error:
        raise DataError(f"{where}: incomplete, it lacks {error}; train again") from None
    if not intact:
        raise DataError(f"{where}: damaged, its content is not what was written; train again")
    params, fleet = _typed(Params, params, where), _typed(Fleet, fleet, where)
    scaler = Scaler.from_json(scaler)
    if not channels == fleet.channel_names == scaler.channels:
        raise DataError(
            f"{where}: the channels of the weights, the fleet and the scaler differ; train again"
        )
    if sha256_of(weights) != digest:
        raise DataError(
            f"{path / WEIGHTS}: not the weights that {CONTENT} was written with (damaged, or an "
            "incomplete copy); train again"
        )
    levels = Levels.from_json(levels)
    model = Amad(len(channels), params.model, levels, params.mask.block)
    try:
        model.load_state_dict(load(weights))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path / WEIGHTS}: does not fit params.model: {reason}") from None
    return Bundle(model=model.eval(), params=params, fleet=fleet, scaler=scaler, meta=meta)


def _digest_of(content: dict) -> str:
    """A hash of what ``bundle.json`` holds beside it."""
    content = json.loads(json.dumps(content))  # as a reader finds it
    return json_sha256(content)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        raise DataError(f"{file}: missing; the bundle is incomplete, train again") from None


def _typed(model: type[M], content: dict, where: Path) -> M:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: {model.__name__} {key}: {first['msg']}; train again") from None
