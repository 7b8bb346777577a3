"""What a training learns: the definition in float64, the same from parts, and what becomes of images that fail."""

import os

import cv2
import numpy as np
import pandas as pd
import pytest

from scorefold.cluster import create_training, drive, open_run
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.inspect.scoring import ScoredImage
from scorefold.cluster.inspect.train_run import LEARN
from scorefold.errors import InputError, StoreError
from scorefold.inspection.features import cell_features
from scorefold.inspection.recipe import METHODS
from scorefold.planning.inspect_request import TrainRequest
from scorefold.planning.prepare_inspect import prepare_train


@pytest.fixture
def good(data_set):
    return np.array(data_set.good, np.float64)


def learned_arrays(run):
    return run.store.read_partial(LEARN)[0]


def same_arrays(one, two):
    return one.keys() == two.keys() and all(one[name].tobytes() == two[name].tobytes() for name in one)


def test_standard_learns_mean_and_standard_deviation(learn, data_set, good, tmp_path):
    model = learn(tmp_path / "run", images=[data_set.root / "good"]).model()
    assert model.image_count == len(good)
    variation = model.inspector.model
    # Rounded once, to float32.
    np.testing.assert_array_equal(variation.mean, good.mean(axis=0).astype(np.float32))
    np.testing.assert_allclose(variation.spread, good.std(axis=0, ddof=1), rtol=2**-23)
    image = data_set.test["a/part-1"]
    expected = (image - good.mean(axis=0)) / np.maximum(10, 2 * good.std(axis=0, ddof=1))
    # A difference of grey levels in float32, over a tolerance of at least 10.
    np.testing.assert_allclose(variation.compare(image), expected, rtol=1e-5, atol=2e-6)


def test_robust_learns_median_and_median_absolute_deviation(learn, data_set, good, tmp_path):
    variation = (
        learn(tmp_path / "run", images=[data_set.root / "good"], method="robust").model().inspector.model
    )
    median = np.median(good, axis=0)
    np.testing.assert_array_equal(variation.mean, median)
    deviation = np.median(np.abs(good - median), axis=0)
    np.testing.assert_array_equal(variation.spread, (1.4826 * deviation).astype(np.float32))


def test_single_learns_one_image_and_its_slopes(learn, data_set, good, tmp_path):
    images = [data_set.root / "good" / "g3.png"]
    variation = learn(tmp_path / "run", images=images, method="single", jitter=0.5).model().inspector.model
    np.testing.assert_array_equal(variation.mean[1:-1, 1:-1], good[3][1:-1, 1:-1])
    down, right = (cv2.Sobel(good[3], cv2.CV_64F, *axis, scale=1 / 8) for axis in ((0, 1), (1, 0)))
    np.testing.assert_allclose(
        variation.spread[1:-1, 1:-1], 0.5 * np.hypot(down, right)[1:-1, 1:-1], rtol=1e-6
    )


def test_gaussian_learns_mean_and_covariance_of_features(learn, data_set, tmp_path):
    run = learn(tmp_path / "run", images=[data_set.root / "good"], method="gaussian", cell=6)
    gaussian = run.model().inspector.model
    features = np.array(
        [cell_features(image, run.recipe.grid, cell=6)[0] for image in data_set.good], np.float64
    )
    np.testing.assert_allclose(gaussian.mean, features.mean(axis=0), rtol=1e-12)
    expected = np.array([np.cov(features[:, cell].T) for cell in range(features.shape[1])])
    # NumPy subtracts a rounded mean; its error is that of sums of squares of feature levels.
    np.testing.assert_allclose(gaussian.covariance, expected, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("method", ["standard", "robust", "gaussian"])
def test_adding_to_models_learns_what_all_images_at_once_teach(learn, data_set, tmp_path, method):
    images = sorted((data_set.root / "good").iterdir())
    whole = learn(tmp_path / "whole", images=images, method=method)
    first = learn(tmp_path / "first", images=images[:3], method=method, leaf_images=2).model()
    second = learn(tmp_path / "second", images=images[3:6], method=method).model()
    added = learn(tmp_path / "added", images=images[6:], add=[first, second])
    rest = learn(tmp_path / "rest", images=images[6:], method=method).model()
    merged = learn(tmp_path / "merged", images=[], add=[first, second, rest])
    for run in (added, merged):
        assert same_arrays(learned_arrays(run), learned_arrays(whole))
        assert run.model().image_count == len(images)
        assert run.good_scores()["images"].count == len(images)
        assert not run.failures()
    assert len(pd.read_csv(tmp_path / "added" / "tables" / "images.csv", comment="#")) == 3
    empty = pd.read_csv(tmp_path / "merged" / "tables" / "images.csv", comment="#")
    assert list(empty) == ["name", "path", "score", "failure"]
    assert empty.empty


@pytest.mark.parametrize("method", ["standard", "gaussian"])
def test_a_good_image_is_scored_as_a_model_of_the_others_scores_it(learn, data_set, tmp_path, method):
    images = sorted((data_set.root / "good").iterdir())
    run = learn(tmp_path / "run", images=images, method=method, leaf_images=4)
    table = pd.read_parquet(tmp_path / "run" / "tables" / "images.parquet")
    for left_out in (0, 5):
        others = [path for index, path in enumerate(images) if index != left_out]
        inspector = learn(tmp_path / f"without-{left_out}", images=others, method=method).model().inspector
        scores = inspector.compare(inspector.align(data_set.good[left_out]))
        assert (
            table["score"][left_out]
            == ScoredImage.of(scores, "float16", polarity="both", kernel_size=1).score
        )
    scores = np.asarray(table["score"])
    moments = run.good_scores()["moments"]
    assert (moments.count, moments.mean) == (len(images), pytest.approx(scores.mean(), rel=1e-15))
    assert moments.std == pytest.approx(scores.std(), rel=1e-12)


@pytest.fixture
def own_images(data_set, tmp_path):
    """Copies of the good images, which a test may damage."""
    folder = tmp_path / "good"
    folder.mkdir()
    for index, image in enumerate(data_set.good):
        cv2.imwrite(str(folder / f"g{index}.png"), image)
    return folder


def test_an_image_that_went_away_is_left_out_and_learned_when_it_is_back(
    learn, own_images, output_of, tmp_path
):
    whole = learn(tmp_path / "whole", images=[own_images], leaf_images=3)
    six = learn(tmp_path / "six", images=[own_images / "g[!135].png"])
    prepared = prepare_train(TrainRequest(images=[own_images]))
    run = create_training(str(tmp_path / "run"), prepared)
    hidden = [(own_images / f"g{index}.png").rename(tmp_path / f"{index}.png") for index in (1, 3, 5)]
    drive(run, SerialExecutor())
    assert run.failures().keys() == {"g1", "g3", "g5"}
    assert run.model().image_count == 6
    assert same_arrays(learned_arrays(run), learned_arrays(six))
    for path in hidden:
        path.rename(own_images / f"g{path.name}")
    again = run.retry_failed()
    drive(again, SerialExecutor())
    assert not again.failures()
    assert same_arrays(learned_arrays(again), learned_arrays(whole))
    assert output_of(again.store.location) == output_of(whole.store.location)


def test_an_image_that_is_back_before_calibration_is_not_taken_out_of_a_model_without_it(
    own_images, learn, tmp_path
):
    eight = learn(tmp_path / "eight", images=[own_images / "g[!4].png"])
    run = create_training(str(tmp_path / "run"), prepare_train(TrainRequest(images=[own_images])))
    hidden = (own_images / "g4.png").rename(tmp_path / "away.png")

    def bring_back(progress):
        if progress.done["learn"] and hidden.exists():
            hidden.rename(own_images / "g4.png")

    drive(run, SerialExecutor(), on_progress=bring_back)
    assert not hidden.exists()
    assert run.failures().keys() == {"g4"}
    found, expected = (one.model().good for one in (run, eight))
    assert same_arrays(found, expected)


def test_an_image_out_of_range_is_part_of_no_band(learn, tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    folder = tmp_path / "good"
    folder.mkdir()
    for index in range(5):
        image = rng.random((24, 30), np.float32)
        if index == 2:
            image[-1, -1] = 7  # within the range elsewhere
        np.save(folder / f"g{index}.npy", image)
    monkeypatch.setattr(type(METHODS["standard"]), "band_pixels", 8 * 30)
    run = learn(tmp_path / "run", images=[folder])
    assert run.recipe.bands == ((0, 8), (8, 16), (16, 24))
    assert list(run.failures()) == ["g2"]
    assert "expected 0 to 1" in run.failures()["g2"]
    others = learn(tmp_path / "others", images=[folder / "g[!2].npy"])
    assert same_arrays(learned_arrays(run), learned_arrays(others))
    assert same_arrays(run.model().good, others.model().good)


@pytest.mark.parametrize("error", [RuntimeError("decoder"), MemoryError(), ZeroDivisionError("x\ny")])
def test_whatever_an_image_raises_is_its_own_failure(learn, own_images, tmp_path, monkeypatch, error):
    def read(self, entry):
        if entry.name == "g6":
            raise error
        return original(self, entry)

    from scorefold.cluster.inspect.image_run import ImageRun

    original = ImageRun.read_image
    monkeypatch.setattr(ImageRun, "read_image", read)
    run = learn(tmp_path / "run", images=[own_images])
    assert list(run.failures()) == ["g6"]
    assert "\n" not in run.failures()["g6"]
    assert run.model().image_count == 8


def test_a_model_of_too_few_images_is_refused_with_a_reason(own_images, tmp_path):
    run = create_training(str(tmp_path / "run"), prepare_train(TrainRequest(images=[own_images])))
    for index in range(8):
        os.utime(own_images / f"g{index}.png", ns=(1, 1))
    with pytest.raises(
        StoreError, match=r'of 9 good images 1 could be used, and it needs 2. "g0": the file changed'
    ):
        drive(run, SerialExecutor())
    assert len(run.failures()) == 8
    with pytest.raises(StoreError, match="training is not finished"):
        run.model()


def test_what_was_folded_is_kept_for_later_trainings_and_nothing_else_is(learn, own_images, tmp_path):
    run = learn(tmp_path / "run", images=[own_images], leaf_images=1)
    assert not any(key.startswith("fold_images-") for key in run.store.committed())
    from scorefold.store import collect_garbage

    collect_garbage(run.store, run.needed())
    model = open_run(run.store.location).model()
    whole = learn(tmp_path / "whole", images=[own_images])
    added = learn(tmp_path / "added", images=[], add=[model])
    assert same_arrays(learned_arrays(added), learned_arrays(whole))


def test_damage_of_a_training_is_repaired(learn, own_images, output_of, tmp_path):
    run = learn(tmp_path / "run", images=[own_images], leaf_images=2)
    expected, arrays = output_of(run.store.location), learned_arrays(run)
    for key in sorted(run.store.committed()):
        record = tmp_path / "run" / "commits" / f"{key}.json"
        intact = record.read_bytes()
        record.write_bytes(intact.replace(b'"attempt": "', b'"attempt": "0', 1))
        for name in ("report-model", "learn-model"):  # so that there is work that reads it
            if name != key:
                run.store.forget([name])
        drive(open_run(run.store.location), SerialExecutor())
        assert output_of(run.store.location) == expected
        assert same_arrays(learned_arrays(run), arrays)


def test_models_of_other_options_cannot_be_merged(learn, data_set, model, tmp_path):
    other = learn(tmp_path / "other", images=[data_set.root / "good"], factor=3).model()
    with pytest.raises(InputError, match="Only models of one recipe"):
        prepare_train(TrainRequest(images=[], add=[model, other]))
