"""The demonstration of inspections: files as promised, masks that the pixels bear out, and right verdicts."""

import functools
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

import scorefold.demo
from scorefold import Inspection
from scorefold.cli.demo import application
from scorefold.demo import InspectionScene, label_scene, surface_scene

SMALL = {
    "surface_scene": functools.partial(surface_scene, good=24, sound=5, defective=1),
    "label_scene": functools.partial(label_scene, good=6, sound=3, defective=1),
}


@pytest.fixture(scope="module", params=sorted(SMALL))
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, InspectionScene]:
    return request.param, SMALL[request.param](tmp_path_factory.mktemp(request.param))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_defective_image_has_a_mask_and_no_other(made):
    _, scene = made
    assert [folder.name for folder in scene.images] == list(scene.verdicts)
    for folder in scene.images:
        images, masks = sorted(folder.iterdir()), sorted((scene.masks / folder.name).glob("*"))
        expected = images if scene.verdicts[folder.name] == "NG" else []
        assert [path.name for path in masks] == [f"{path.stem}_mask.png" for path in expected]
        for image, mask in zip(images, masks, strict=False):
            assert imread(image).dtype == np.uint8
            assert imread(mask).shape == imread(image).shape
            assert set(np.unique(imread(mask))) == {0, 255}
    shapes = {imread(path).shape for path in [*scene.good.iterdir(), *scene.images[0].iterdir()]}
    assert len(shapes) == 1


def test_scenes_are_the_same_every_time(made, tmp_path):
    name, scene = made
    SMALL[name](tmp_path)
    assert files(tmp_path) == files(scene.good.parents[1])


def demonstrate(out: Path, *options: str) -> int:
    return int(application(["inspect", "--out", str(out), *options], standalone_mode=False) or 0)


def check_metrics(run: Path, auroc: float) -> Inspection:
    found = Inspection(run)
    metrics = found.metrics
    assert metrics is not None
    assert metrics.loc["AUROC", "images"] >= auroc
    assert metrics.loc["AUPRO", "pixels"] >= 0.9
    assert found.failures == {}
    return found


def kinds(found: Inspection) -> list[tuple[str, str]]:
    images = found.images
    return [
        (Path(path).parent.name, verdict)
        for path, verdict in zip(images["path"], images["verdict"], strict=True)
    ]


@pytest.mark.system
def test_a_small_demonstration_finds_what_is_planted(tmp_path, monkeypatch, capsys):
    for name, small in SMALL.items():
        monkeypatch.setattr(scorefold.demo, name, small)
    assert demonstrate(tmp_path / "out", "--scheduler", "serial") == 0
    printed = capsys.readouterr().out
    assert "AUPRO" in printed
    assert "truth  the right verdict on" in printed
    check_metrics(tmp_path / "out" / "run-surface", auroc=0.95)
    label = check_metrics(tmp_path / "out" / "run-label", auroc=0.99)
    assert [(kind, verdict) for kind, verdict in kinds(label) if verdict == "NOT_FOUND"] == [
        ("other-label", "NOT_FOUND"),
        ("no-label", "NOT_FOUND"),
    ]
    for run in ("run-surface", "run-label"):
        assert (tmp_path / "out" / run / "report.html").stat().st_size > 10_000


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_whole_demonstration_reaches_what_it_promises(tmp_path):
    assert demonstrate(tmp_path / "out", "--workers", "2") == 0
    check_metrics(tmp_path / "out" / "run-surface", auroc=0.99)
    label = check_metrics(tmp_path / "out" / "run-label", auroc=0.99)
    missing = {"other-label", "no-label"}
    assert all((kind in missing) == (verdict == "NOT_FOUND") for kind, verdict in kinds(label))
