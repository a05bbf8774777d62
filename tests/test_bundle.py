"""The bundle: everything read back exactly, the same bytes again, errors that name the file."""

import json
from pathlib import Path

import pytest
import torch
from model_kit import toy_fleet, toy_params, toy_series

from amad.config import DataError
from amad.model import Amad, Bundle, read_bundle, write_bundle
from amad.model.bundle import FORMAT
from amad.model.owners import Owners
from amad.telemetry.files import write_json
from amad.windows import Scaler


def write(path: Path) -> Amad:
    torch.manual_seed(0)
    params, fleet = toy_params(), toy_fleet()
    scaler = Scaler.fit([toy_series("a-1"), toy_series("b-1", seed=1)], fleet, "vehicle")
    model = Amad(4, params.model, block=params.mask.block)
    meta = {"data_hash": "abc", "seed": 7}
    bundle = Bundle(model=model, params=params, fleet=fleet, scaler=scaler, meta=meta)
    write_bundle(path, bundle)
    return model


def test_everything_is_read_back_exactly(tmp_path: Path) -> None:
    model = write(tmp_path / "bundle")
    bundle = read_bundle(tmp_path / "bundle")
    assert sorted(p.name for p in (tmp_path / "bundle").iterdir()) == [
        "bundle.json", "weights.safetensors",
    ]  # fmt: skip
    assert bundle.params == toy_params() and bundle.fleet == toy_fleet()
    assert bundle.meta == {"data_hash": "abc", "seed": 7}
    assert not bundle.model.training
    x_BLC = torch.randn(2, 20, 4)
    assert torch.equal(bundle.model(x_BLC).recon_BLC, model.eval()(x_BLC).recon_BLC)
    series = toy_series("a-1")
    again = bundle.scaler.apply(series).value_TC
    fitted = Scaler.fit([series, toy_series("b-1", seed=1)], toy_fleet(), "vehicle")
    assert again.tobytes() == fitted.apply(series).value_TC.tobytes()


def test_levels_and_the_linear_skip_travel_along(tmp_path: Path) -> None:
    torch.manual_seed(0)
    params, fleet = toy_params(), toy_fleet()
    train = [toy_series("a-1"), toy_series("b-1", seed=1)]
    scaler = Scaler.fit(train, fleet, "vehicle")
    owners = Owners(("a", "b"), {"a-1": "a", "b-1": "b"})
    model = Amad(4, params.model, owners, params.mask.block).eval()
    model.linear.fit_series([scaler.apply(series) for series in train])
    bundle = Bundle(model=model, params=params, fleet=fleet, scaler=scaler, meta={})
    write_bundle(tmp_path, bundle)
    read = read_bundle(tmp_path).model
    assert read.owners == owners
    x_BLC, hidden_BLC = torch.randn(2, 20, 4), torch.zeros(2, 20, 4, dtype=torch.bool)
    hidden_BLC[0, :, 1] = hidden_BLC[1, 8:12] = True
    owner_B = torch.tensor([3, 4])
    wanted = model(x_BLC, hidden_BLC, owner_B=owner_B).recon_BLC
    assert torch.equal(read(x_BLC, hidden_BLC, owner_B=owner_B).recon_BLC, wanted)
    assert not torch.equal(read(x_BLC, hidden_BLC).recon_BLC, wanted)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name)
    for file in ("bundle.json", "weights.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_writing_again_replaces_the_bundle(tmp_path: Path) -> None:
    write(tmp_path / "bundle")
    (tmp_path / "bundle" / "stray").touch()
    write(tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "stray").exists()


@pytest.mark.parametrize("file", ["bundle.json", "weights.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    write(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(DataError, match=f"{file} is missing; .*train again"):
        read_bundle(tmp_path)


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    weights, content = tmp_path / "weights.safetensors", tmp_path / "bundle.json"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"weights\.safetensors: not the weights"):
        read_bundle(tmp_path)
    content.write_text(content.read_text()[:100])
    with pytest.raises(DataError, match=r"bundle\.json is damaged .*; train again"):
        read_bundle(tmp_path)


def edit(path: Path, change: dict) -> None:
    """Change the content as a writer of another version would, its seal included."""
    content = json.loads((path / "bundle.json").read_text()) | change
    write_json(path / "bundle.json", content, sealed=True)


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
def test_a_flipped_bit_is_told_wherever_it_is(tmp_path: Path, name: str) -> None:
    """Or it changes nothing, as one in the blanks between the keys."""
    model = write(tmp_path).eval()
    x_BLC = torch.randn(2, 20, 4)
    wanted = model(x_BLC).recon_BLC
    sound = (tmp_path / name).read_bytes()
    told = 0
    for at in range(0, len(sound), len(sound) // 60):
        flipped = bytearray(sound)
        flipped[at] ^= 1 << at % 8
        (tmp_path / name).write_bytes(flipped)
        try:
            assert torch.equal(read_bundle(tmp_path).model(x_BLC).recon_BLC, wanted)
        except DataError as error:
            assert str(tmp_path) in str(error) and "train again" in str(error)
            told += 1
    assert told > 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, f"has format 3, this version reads {FORMAT}; train again"),
        ({"channels": ["one"]}, "channels of the weights, the fleet and the scaler differ"),
        (
            {"params": {"model": {"width": 3}}},
            r"bundle\.json is damaged \(params\.model\.width: .*train again",
        ),
        ({"params": {"model": {"window": 20, "width": 32}}}, "does not fit params.model"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    write(tmp_path)
    edit(tmp_path, change)
    with pytest.raises(DataError, match=message):
        read_bundle(tmp_path)


def test_a_key_that_lacks_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "bundle.json").write_text(json.dumps({"format": FORMAT}))
    with pytest.raises(DataError, match=r"bundle\.json is damaged \(channels: Field required"):
        read_bundle(tmp_path)


def test_a_figure_that_was_altered_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    content = json.loads((tmp_path / "bundle.json").read_text())
    content["scaler"]["tables"]["fleet"][""]["mean"][0] += 1e-9
    (tmp_path / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"bundle\.json is damaged.*train again"):
        read_bundle(tmp_path)
