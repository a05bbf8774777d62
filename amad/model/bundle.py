"""The bundle: a trained network with all that scoring needs, readable by a person, no pickle.

A folder of ``weights.safetensors`` and ``bundle.json``. The same content gives the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load, save

from amad.config import DataError, Fleet, Params
from amad.config.digest import sha256_of
from amad.model.network import Amad
from amad.model.owners import Owners
from amad.telemetry.files import damaged, read_json, staged, write_json
from amad.windows.scaler import Scaler

FORMAT = 8
WEIGHTS, CONTENT = "weights.safetensors", "bundle.json"
REMEDY = "train again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A trained network; as ``read_bundle`` gives it, on the CPU and in evaluation mode.

    scaler: None for an untrained network, which is not saved. meta: where it comes from, such as
    the data hash and the seed. It holds what JSON can, and no time of day where the same training
    should give the same bytes.
    """

    model: Amad
    params: Params
    fleet: Fleet
    scaler: Scaler | None
    meta: dict


class _Content(BaseModel):
    """``bundle.json``, beside its seal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    channels: list[str]
    owners: Owners
    params: Params
    fleet: Fleet
    scaler: dict
    weights_sha256: str
    meta: dict


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write the bundle folder in one piece."""
    model, fleet = bundle.model, bundle.fleet
    assert model.channels == len(fleet.channels), "the network's channels are the fleet's"
    assert bundle.scaler is not None, "the network was trained on scaled values"
    weights = save({name: w.cpu().contiguous() for name, w in model.state_dict().items()})
    content = _Content(
        format=FORMAT,
        channels=fleet.channel_names,
        owners=model.owners,
        params=bundle.params,
        fleet=fleet,
        scaler=bundle.scaler.to_json(),
        weights_sha256=sha256_of(weights),
        meta=bundle.meta,
    )
    with staged(path) as stage:
        stage.mkdir()
        (stage / WEIGHTS).write_bytes(weights)
        write_json(stage / CONTENT, content.model_dump(mode="json"), sealed=True)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle folder.

    Raises:
        DataError: a file is missing, damaged, of another format, or does not fit the others; the
            message names it.
    """
    where, file = path / CONTENT, path / WEIGHTS
    stored = read_json(where, REMEDY, keys=["format"], required=True)
    if stored["format"] != FORMAT:
        raise DataError(
            f"{where}: has format {stored['format']}, this version reads {FORMAT}; {REMEDY}"
        )
    try:
        content = _Content.model_validate(stored)
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise damaged(where, REMEDY, why) from None
    scaler = Scaler.from_json(content.scaler)
    if not content.channels == content.fleet.channel_names == scaler.channels:
        raise DataError(
            f"{where}: the channels of the weights, the fleet and the scaler differ; {REMEDY}"
        )
    try:
        weights = file.read_bytes()
    except OSError:
        raise DataError(f"{file} is missing; the bundle is incomplete, {REMEDY}") from None
    if sha256_of(weights) != content.weights_sha256:
        raise DataError(
            f"{file}: not the weights that {CONTENT} was written with (damaged, or an incomplete "
            f"copy); {REMEDY}"
        )
    params = content.params
    model = Amad(len(content.channels), params.model, content.owners, params.mask.block)
    try:
        model.load_state_dict(load(weights))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{file}: does not fit params.model: {reason}") from None
    return Bundle(
        model=model.eval(), params=params, fleet=content.fleet, scaler=scaler, meta=content.meta
    )
