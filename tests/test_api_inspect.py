"""The Python interface of inspection: what it takes, what it gives back, what it refuses."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client

import scorefold
from scorefold import Inspection, Model, inspect, inspect_maps, match, open_run, train
from scorefold.errors import InputError, StoreError

pytestmark = pytest.mark.timeout(60)

SHAPE = (40, 52)
BOX = [12, 20, 18, 29]


class StoppedError(Exception):
    """Raised to stop a run half-way."""


def stop(progress):
    if sum(progress.done.values()):
        raise StoppedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good images and a lot of three as stacks, with masks and labels; the second of the lot is bad."""
    work = tmp_path_factory.mktemp("api")
    rng = np.random.default_rng(4)
    surface = rng.integers(60, 180, SHAPE)
    images = np.rint(surface + rng.normal(0, 2, (9, *SHAPE))).astype(np.uint8)
    good, lot = images[:6], images[6:]
    y0, x0, y1, x1 = BOX
    lot[1, y0:y1, x0:x1] -= 50
    np.save(work / "good.npy", good)
    for name, image in zip("abc", lot, strict=True):
        (work / "lot").mkdir(exist_ok=True)
        np.save(work / "lot" / f"{name}.npy", image)
    mask = np.zeros(SHAPE, np.uint8)
    mask[y0:y1, x0:x1] = 1
    (work / "masks").mkdir()
    np.save(work / "masks" / "b.npy", mask)
    (work / "labels.csv").write_text("a,good\nb,bad\nc,good\n")
    return work


@pytest.fixture(scope="module")
def model(folder):
    return train(folder / "good.npy", out=folder / "model")


@pytest.fixture(scope="module")
def found(folder, model):
    return inspect(folder / "lot", model, out=folder / "run", masks=folder / "masks")


@pytest.fixture
def again(folder, model, tmp_path):
    """An inspection of its own for a test that changes it."""
    return inspect(folder / "lot", model.location, out=tmp_path / "run", render=False)


def test_a_model_tells_how_it_was_learned(model, folder):
    assert (model.recipe.method, model.recipe.shape) == ("standard", SHAPE)
    assert model.images["name"].tolist() == [f"good_{n}" for n in range(6)]
    assert model.images["score"].max() < 1
    assert model.failures == {}
    assert model.picture().startswith(b"\x89PNG")
    assert model.picture("tolerance") != model.picture("reference")
    assert "standard model of 6 images" in repr(model)
    assert "<table" in model._repr_html_()
    assert model._repr_html_().count("<img") == 2
    with pytest.raises(KeyError):
        model.picture("nothing")


def test_an_inspection_tells_what_is_wrong(found):
    assert found.images["verdict"].tolist() == ["OK", "NG", "OK"]
    assert found.threshold == 1.0
    (defect,) = found.defects.to_dict("records")
    assert [defect[name] for name in ("y0", "x0", "y1", "x1")] == BOX
    assert (defect["name"], defect["polarity"]) == ("b", "dark")
    assert found.failures == {}
    assert Path(found.report).is_file()
    assert found.picture().startswith(b"\x89PNG")
    assert found.picture("good") != found.picture("worst")
    assert "3 images inspected" in repr(found)
    assert "<table" in found._repr_html_()
    assert "<img" in found._repr_html_()


def test_maps_are_read_by_the_name_of_their_image(found):
    scores, mask = found.scores("b"), found.mask("b")
    assert scores.shape == mask.shape == SHAPE
    assert (scores.dtype, mask.dtype) == (np.float16, bool)
    y0, x0, y1, x1 = BOX
    assert scores[y0:y1, x0:x1].max() < -1
    assert mask[y0:y1, x0:x1].mean() > 0.9
    assert mask.sum() == found.defects["area"].item()
    assert not found.mask("a").any()
    with pytest.raises(KeyError):
        found.scores("nothing")


def test_metrics_are_a_table(found, again):
    assert found.metrics.loc["AUROC"].tolist() == [1.0, 1.0]
    assert np.isnan(found.metrics.loc["AUPRO", "images"])
    assert again.metrics is None


def test_an_image_without_a_map_says_why(folder, model, tmp_path):
    np.save(tmp_path / "small.npy", np.zeros((5, 5), np.uint8))
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    given = [folder / "lot", str(tmp_path / "small.npy"), tmp_path / "broken.npy"]
    found = inspect(given, model, render=False)
    assert found.images["verdict"].value_counts().to_dict() == {"OK": 2, "ERROR": 2, "NG": 1}
    assert set(found.failures) == {"small", "broken.npy"}
    with pytest.raises(KeyError, match="small: ERROR"):
        found.scores("small")


def test_runs_of_every_kind_are_opened_again(found, model, folder, tmp_path):
    again = open_run(found.location)
    assert isinstance(again, Inspection)
    pd.testing.assert_frame_equal(again.images, found.images)
    assert isinstance(open_run(model.location), Model)
    rng = np.random.default_rng(1)
    image = rng.normal(size=(30, 30))
    searched = match(image, image[5:12, 5:12], step=180, out=tmp_path / "run", render=False)
    assert isinstance(open_run(searched.location), scorefold.Match)
    with pytest.raises(StoreError, match="kind match"):
        Model(searched.location)
    with pytest.raises(StoreError, match="kind train"):
        Inspection(model.location)
    with pytest.raises(StoreError, match="kind inspect"):
        inspect(folder / "lot", found.location)


def test_another_threshold_scores_nothing_again(again):
    scores = again.scores("b")
    lower = again.remeasure(threshold=0.01, render=False)
    assert lower.threshold == pytest.approx(0.01, rel=1e-3)  # rounded to half precision, as the maps are
    assert set(lower.images["verdict"]) == {"NG"}

    def commits():
        paths = Path(again.location, "commits").glob("score_images-*")
        return {path: path.stat().st_mtime_ns for path in paths}

    scored = commits()
    strict = lower.remeasure(threshold="sigma:3", min_area=10_000, render=False)
    assert set(strict.images["verdict"]) == {"OK"}
    assert commits() == scored
    np.testing.assert_array_equal(strict.scores("b"), scores)


def test_a_threshold_that_needs_labels_gets_them_from_an_evaluation(again, folder):
    before = again.images
    with pytest.raises(InputError, match="threshold"):
        again.remeasure(threshold="f1")
    pd.testing.assert_frame_equal(open_run(again.location).images, before)
    evaluated = again.evaluate(labels=folder / "labels.csv", render=False)
    assert evaluated.metrics.loc["AUROC", "images"] == 1.0
    best = evaluated.remeasure(threshold="f1", render=False)
    assert best.images["verdict"].tolist() == ["OK", "NG", "OK"]
    with_masks = best.evaluate(masks=folder / "masks", render=False)
    assert with_masks.metrics.loc["AUROC", "pixels"] == 1.0


@pytest.mark.parametrize("options", [{}, {"masks": "a", "labels": "b"}])
def test_an_evaluation_needs_one_source_of_truth(found, options):
    with pytest.raises(InputError, match="give one of them"):
        found.evaluate(**options)


def test_models_are_added_to_each_other(folder, tmp_path, model):
    good = np.load(folder / "good.npy")
    for name, part in (("first", good[:3]), ("second", good[3:])):
        np.save(tmp_path / f"{name}.npy", part)
    first = train(tmp_path / "first.npy", render=False)
    both = train(tmp_path / "second.npy", add=[first], render=False)
    verdicts = [inspect(folder / "lot", one, render=False).images for one in (both, model)]
    assert verdicts[0]["score"].tolist() == verdicts[1]["score"].tolist()
    second = train(tmp_path / "second.npy", render=False)
    merged = train(add=[first.location, Path(second.location)], render=False)
    assert inspect(folder / "lot", merged, render=False).images["verdict"].tolist() == ["OK", "NG", "OK"]


def test_maps_of_another_tool(found, folder, tmp_path):
    np.savez(tmp_path / "maps.npz", **{name: np.abs(found.scores(name)) for name in "abc"})
    measured = inspect_maps(
        tmp_path / "maps.npz", images=folder / "lot", threshold=1.0, out=tmp_path / "run", export="masks"
    )
    assert measured.images["verdict"].tolist() == ["OK", "NG", "OK"]
    np.testing.assert_array_equal(measured.mask("maps_b"), found.mask("b"))
    assert measured.defects["area"].tolist() == found.defects["area"].tolist()
    assert len(list(Path(measured.location, "export").rglob("*.png"))) == 3


def test_a_given_client_does_the_work_and_stays_open(folder, found):
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0
    ) as client:
        tasks = []
        model = train(folder / "good.npy", client=client, render=False, on_progress=tasks.append)
        measured = inspect(folder / "lot", model, client=client, render=False)
        assert client.status == "running"
    assert tasks[-1].done == tasks[-1].total
    assert measured.images["score"].tolist() == found.images["score"].tolist()


def test_what_is_not_finished_says_how_to_go_on(folder, model, tmp_path):
    with pytest.raises(StoppedError):
        train(folder / "good.npy", out=tmp_path / "model", on_progress=stop)
    half = open_run(tmp_path / "model")
    with pytest.raises(StoreError, match=r"not finished\. Go on with: scorefold resume"):
        _ = half.images
    assert "not finished" in half._repr_html_()
    with pytest.raises(StoreError, match="not finished"):
        inspect(folder / "lot", half)
    with pytest.raises(StoppedError):
        inspect(folder / "lot", model, out=tmp_path / "run", on_progress=stop)
    half = open_run(tmp_path / "run")
    for read in (lambda: half.images, lambda: half.defects, lambda: half.threshold, lambda: half.scores("a")):
        with pytest.raises(StoreError, match="not finished"):
            read()
    assert "not finished" in half._repr_html_()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda folder, model: train(), "none given"),
        (lambda folder, model: train(np.zeros((4, 9, 9))), "ndarray is no path"),
        (lambda folder, model: train([folder / "good.npy", np.zeros((9, 9))]), "ndarray is no path"),
        (lambda folder, model: train(folder / "good.npy", tolerence=3), "option tolerence: unknown"),
        (lambda folder, model: train(folder / "good.npy", workers=0), "workers 0"),
        (lambda folder, model: inspect(np.zeros((9, 9)), model), "ndarray is no path"),
        (lambda folder, model: inspect(folder / "lot", model, treshold=3), "option treshold: unknown"),
        (lambda folder, model: inspect(folder / "lot", model, maps=3), "option maps: unknown"),
        (lambda folder, model: inspect(folder / "lot", model, threshold="high"), "quantile:FRACTION"),
        (lambda folder, model: inspect(folder / "lot", model, export="films"), 'export "films"'),
        (lambda folder, model: inspect(folder / "nowhere", model), "nowhere"),
        (lambda folder, model: inspect_maps(np.zeros((9, 9))), "ndarray is no path"),
        (lambda folder, model: inspect_maps(folder / "lot"), "--threshold VALUE"),
        (lambda folder, model: inspect_maps(folder / "lot", threshold=1, polarity="dark"), "polarity dark"),
        (
            lambda folder, model: inspect(folder / "lot", model, out=model.location),
            "something is there already",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(folder, model, call, message):
    with pytest.raises(InputError, match=message):
        call(folder, model)


def test_an_unknown_measure_option_is_refused(found):
    with pytest.raises(InputError, match="option kernel_size: unknown"):
        found.remeasure(kernel_size=3)


def test_the_recipe_of_a_model_is_not_changed(model):
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.recipe.factor = 3.0
