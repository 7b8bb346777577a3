"""Scores without a sign, and scores on any range: maps of other tools, and models of how unusual something is."""

from pathlib import Path

import numpy as np
import pytest

import scorefold
from scorefold.errors import InputError

SHAPE = (32, 40)


@pytest.mark.parametrize(
    ("maps", "threshold", "verdicts"),
    [
        ([np.full(SHAPE, -9.0), np.linspace(-12, -2, 1280).reshape(SHAPE)], -4.0, ["OK", "NG"]),
        ([np.zeros(SHAPE)] * 2, 0.0, ["OK", "OK"]),
        ([np.full(SHAPE, -3.0)], -3.0, ["OK"]),
        ([np.full(SHAPE, 7.0)], 2.0, ["NG"]),
    ],
    ids=["log-likelihoods", "zero", "constant", "all above"],
)
def test_maps_on_any_range_are_drawn(tmp_path, maps, threshold, verdicts):
    np.save(tmp_path / "maps.npy", np.array(maps, np.float32))
    found = scorefold.inspect_maps(
        tmp_path / "maps.npy", threshold=threshold, kernel_size=0, scheduler="serial", out=tmp_path / "run"
    )
    assert found.images["verdict"].tolist() == verdicts
    assert (found.defects["polarity"] == "").all()
    assert Path(found.report).stat().st_size > 10_000
    assert found.picture("worst").startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(2)
    surface = rng.uniform(80, 160, SHAPE)
    path = tmp_path_factory.mktemp("good") / "good.npy"
    np.save(path, np.rint(surface + rng.normal(0, 3, (12, *SHAPE))).astype(np.uint8))
    return path


def test_a_gaussian_model_does_not_call_dark_what_is_unusual(good, tmp_path):
    model = scorefold.train(good, method="gaussian", scheduler="serial", out=tmp_path / "model")
    image = np.load(good)[:1].astype(int)
    image[0, 8:16, 8:16] -= 60
    np.save(tmp_path / "lot.npy", image.astype(np.uint8))
    found = scorefold.inspect(tmp_path / "lot.npy", model, scheduler="serial", out=tmp_path / "run")
    assert found.defects["polarity"].tolist() == [""] * len(found.defects)
    assert len(found.defects) >= 1
    assert "darker" not in Path(found.report).read_text()


def test_a_gaussian_model_tells_no_polarity(good, tmp_path):
    with pytest.raises(InputError, match="not whether it is bright"):
        scorefold.train(good, method="gaussian", polarity="dark", scheduler="serial", out=tmp_path / "model")
    model = scorefold.train(good, method="gaussian", scheduler="serial", out=tmp_path / "model", render=False)
    with pytest.raises(InputError, match="not whether it is bright"):
        scorefold.inspect(good, model, polarity="bright", scheduler="serial", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
