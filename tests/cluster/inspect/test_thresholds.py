"""Thresholds and truth changed afterwards without touching maps; metrics as scikit-learn has them."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from scorefold.cluster import change_measure, change_truth, drive, open_run
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.inspect.measure_tasks import read_threshold
from scorefold.errors import InputError
from scorefold.planning.inspect_job import MeasureOptions
from scorefold.planning.truth import truth_of_masks, truth_of_table, truth_to_bytes
from scorefold.store.commit import digest


@pytest.fixture
def options(data_set, model):
    return {"images": [data_set.root / "test" / "**" / "*.png"], "model": model, "leaf_images": 3}


class Counting(SerialExecutor):
    """Notes the stages of what it runs."""

    def __init__(self):
        self.stages = set()

    def run(self, run, wave):
        self.stages |= {node.stage for node in wave}
        yield from super().run(run, wave)


@pytest.fixture
def finished(inspect, options, tmp_path):
    def make(name="run", **others):
        return inspect(tmp_path / name, **{**options, **others})

    return make


def map_files(run):
    chunks = Path(run.store.location).glob("results/*/scores/c/**/*")
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in chunks if path.is_file()}


@pytest.mark.parametrize(
    "measure", [MeasureOptions("3.5"), MeasureOptions("sigma:1", min_area=14), MeasureOptions("quantile:0.5")]
)
def test_another_threshold_gives_what_a_fresh_run_gives_and_leaves_the_maps_alone(
    finished, output_of, measure
):
    run = finished(export=("masks",))
    maps = map_files(run)
    changed = change_measure(run, measure)
    assert not (Path(run.store.location) / "tables").exists()
    assert not (Path(run.store.location) / "results" / "shape-0" / "masks").exists()
    executor = Counting()
    drive(changed, executor, render=False)
    assert executor.stages == {"set_threshold", "measure", "report"}
    assert map_files(run) == maps
    fresh = finished("fresh", measure=measure, export=("masks",))
    assert read_threshold(changed) == read_threshold(fresh)
    assert output_of(changed.store.location) == output_of(fresh.store.location)


def test_what_is_told_afterwards_gives_what_a_fresh_run_gives(finished, data_set, output_of):
    run = finished()
    maps = map_files(run)
    for known in ("labels", "masks"):  # what was known before is known no longer
        entries = list(run.images)
        if known == "labels":
            table = Path(run.store.location).with_name("labels.csv")
            table.write_text("a_part-1,bad\na_part-3,bad\nb_part-1,bad\na_part-2,good\nb_part-2,good\n")
            truth, others = truth_of_table(entries, table), {"truth_table": table}
        else:
            truth, others = (
                truth_of_masks(entries, data_set.root / "masks"),
                {"masks": data_set.root / "masks"},
            )
        data = truth_to_bytes(truth)
        run = change_truth(open_run(run.store.location), data, hashlib.sha256(data).hexdigest())
        executor = Counting()
        drive(run, executor, render=False)
        assert "score_images" not in executor.stages
        assert map_files(run) == maps
        fresh = finished(known, **others)
        assert output_of(run.store.location) == output_of(fresh.store.location)
        assert len(list((Path(run.store.location) / "job").glob("truth-*"))) == 1


def test_a_threshold_that_cannot_be_found_is_refused_before_anything_is_forgotten(finished, output_of):
    run = finished()
    before = output_of(run.store.location)
    with pytest.raises(InputError, match="labelled"):
        change_measure(run, MeasureOptions("f1"))
    assert output_of(run.store.location) == before
    assert open_run(run.store.location).job == run.job


def test_the_f1_threshold_reproduces_its_f1(finished, data_set, tables):
    found = tables(finished(masks=data_set.root / "masks", measure=MeasureOptions("f1")))
    rows = found.images
    bad, marked = rows["label"] == "bad", rows["score"] > rows["threshold"]
    f1 = 2 * (bad & marked).sum() / (bad.sum() + marked.sum())
    assert f1 == found.metrics["images"]["F1-max"]
    assert (rows["threshold"] == found.metrics["images"]["threshold of F1-max"]).all()
    assert ((rows["verdict"] == "NG") == marked).all()


@pytest.mark.parametrize("precision", ["half", "single"])
def test_metrics_are_those_of_scikit_learn_on_the_maps_of_the_run(
    finished, data_set, tables, maps_of, precision
):
    # With less than a grey level of tolerance some good pixels score as high as defects.
    run = finished(
        masks=data_set.root / "masks", precision=precision, polarity="bright", measure=MeasureOptions("2")
    )
    found = tables(run)
    names = [f"{entry.folder}/{Path(entry.source.path).stem}" for entry in run.images]
    nothing = np.zeros((24, 30), np.uint8)
    truth = np.concatenate([(data_set.masks.get(name, nothing) > 0).ravel() for name in names])
    pixels = np.concatenate([np.maximum(scores, 0).astype(np.float64).ravel() for scores in maps_of(run)])
    levels = {
        "images": (np.array([name in data_set.masks for name in names]), found.images["score"].to_numpy()),
        "pixels": (truth, pixels),
    }
    for level, (labels, scores) in levels.items():
        metrics = found.metrics[level]
        assert metrics["AUROC"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        assert metrics["average precision"] == pytest.approx(
            average_precision_score(labels, scores), abs=1e-12
        )
        precisions, recalls, _ = precision_recall_curve(labels, scores)
        best = (2 * precisions * recalls / np.maximum(precisions + recalls, 1e-300)).max()
        assert metrics["F1-max"] == pytest.approx(best, abs=1e-12)
        if level == "images":
            marked = scores > 2
            right = (labels & marked).sum()
            assert metrics["precision at the threshold"] == pytest.approx(right / marked.sum())
            assert metrics["recall at the threshold"] == pytest.approx(right / labels.sum())
    assert found.metrics["pixels"]["AUROC"] < 1


def test_automatic_thresholds_follow_from_the_good_images(finished, model):
    moments = finished().good_scores()[1]
    expected = max(1.0, float(np.float16(moments.mean + 3 * moments.std)))
    assert read_threshold(finished("again")).value == expected


def test_a_model_of_too_few_images_to_leave_one_out_has_its_natural_threshold(
    learn, data_set, finished, tmp_path, tables
):
    images = [data_set.root / "good" / f"g{index}.png" for index in range(2)]
    two = learn(tmp_path / "two", images=images).model()
    run = finished(model=two)
    assert read_threshold(run).value == 1.0


@pytest.mark.parametrize("rule", ["quantile:0.75", "fp:0.25"])
def test_thresholds_of_good_images_suit_maps_of_single_precision(finished, learn, data_set, tmp_path, rule):
    learn(tmp_path / "model", images=[data_set.root / "good"])
    good = np.sort(pd.read_parquet(tmp_path / "model" / "tables" / "images.parquet")["score"])
    run = finished(precision="single", measure=MeasureOptions(rule))
    assert read_threshold(run).value == good[6]  # of 9: 7/9 do not exceed it, 6/9 would be less than 3/4


def test_inspections_of_other_truth_have_the_same_maps(finished, data_set):
    one, two = finished(), finished("two", masks=data_set.root / "masks", measure=MeasureOptions("f1"))
    assert one.job.fingerprint == two.job.fingerprint
    assert digest(one.store.read_partial(one.score_root)[0]["pixels.counts"]) == digest(
        two.store.read_partial(two.score_root)[0]["pixels.counts"]
    )
