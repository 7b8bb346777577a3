"""Damaged images are rows with a reason; damaged stores are recomputed, never trusted; `verify` finds both ends."""

import dataclasses
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from scorefold.cluster import change_measure, drive, open_run
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.inspect.image_run import ImageRun
from scorefold.errors import InputError, StoreError
from scorefold.planning.inspect_job import MeasureOptions
from scorefold.store import collect_garbage, verify


@pytest.fixture
def own(data_set, tmp_path):
    """Copies of the test images, which a test may damage."""
    shutil.copytree(data_set.root / "test", tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def start(new_inspection, own, model, tmp_path):
    def make(name="run", **options):
        options = {"images": [own / "**" / "*.png"], "model": model, "leaf_images": 2, **options}
        return new_inspection(tmp_path / name, **options)

    return make


def work(run, executor=None, *, render=False):
    drive(open_run(run.store.location), executor or SerialExecutor(), render=render)
    return open_run(run.store.location)


def test_images_that_fail_are_rows_and_the_others_are_as_without_them(start, own, tables, maps_of, output_of):
    whole = work(start("whole"))
    run = start()
    saved = {}
    for name, damage in {
        "a/part-0": lambda path: path.unlink(),
        "a/part-3": lambda path: path.write_bytes(path.read_bytes() + b" "),
        "a/part-5": lambda path: os.utime(path, ns=(7, 7)),
        "b/part-2": lambda path: cv2.imwrite(str(path), np.zeros((60, 70), np.uint8)),
    }.items():
        path = own / f"{name}.png"
        saved[path] = path.read_bytes(), path.stat()
        damage(path)
    run = work(run)
    names = {"a_part-0", "a_part-3", "part-5", "b_part-2"}
    assert run.failures().keys() == names
    rows, intact = (tables(one).images.set_index("name") for one in (run, whole))
    assert set(rows.index[rows["verdict"] == "ERROR"]) == names
    assert (rows["failure"] != "").sum() == 4
    size = (own / "a" / "part-5.png").stat().st_size
    stamps = rf"{size:,} bytes of 1970-01-01 00:00:00 UTC; was {size:,} bytes of 20"
    told = rf"the file changed after the run was planned \({stamps}"
    assert re.match(told, rows["failure"]["part-5"])
    others = [name for name in rows.index if name not in names]
    assert rows.loc[others, ["score", "verdict", "defects"]].equals(
        intact.loc[others, ["score", "verdict", "defects"]]
    )
    for name, one, two in zip(rows.index, maps_of(run), maps_of(whole), strict=True):
        assert np.isnan(one).all() if name in names else np.array_equal(one, two)
    for path, (data, status) in saved.items():
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = work(run.retry_failed())
    assert not again.failures()
    assert output_of(again.store.location) == output_of(whole.store.location)


def test_images_that_can_never_be_read_are_not_tried_again(start, own, data_set, output_of):
    run = work(start(images=[own / "a", data_set.root / "odd" / "broken.png"]))
    assert list(run.failures()) == ["broken.png"]
    before = run.store.committed()
    assert run.retry_failed().store.committed() == before


def test_an_image_larger_than_planned_for_is_not_decoded(start, monkeypatch):
    run = start()
    monkeypatch.setattr("scorefold.cluster.inspect.image_run.read_target", None)
    run.plan = dataclasses.replace(run.plan, max_pixels=700)
    with pytest.raises(InputError, match="fit the memory limit"):
        run.read_image(run.images[0])


@pytest.mark.parametrize(
    "error", [RuntimeError("a\nb"), MemoryError(), ZeroDivisionError("x"), OSError(5, "I/O")]
)
def test_whatever_an_image_raises_is_its_own_failure(start, tables, monkeypatch, error):
    original = ImageRun.read_image

    def read(self, entry):
        if entry.name in ("part-4", "b_part-1"):
            raise error
        return original(self, entry)

    monkeypatch.setattr(ImageRun, "read_image", read)
    run = work(start())
    assert set(run.failures()) == {"part-4", "b_part-1"}
    assert all(text and "\n" not in text for text in run.failures().values())
    assert (tables(run).images["verdict"] == "ERROR").sum() == 2


def test_a_run_in_which_every_image_fails_ends_with_a_row_each(start, tables, monkeypatch):
    def read(self, entry):
        raise RuntimeError

    run = start()
    monkeypatch.setattr(ImageRun, "read_image", read)
    run = work(run, render=True)
    assert len(run.failures()) == 11
    assert (tables(run).images["failure"] == "RuntimeError").all()


def test_an_image_without_a_valid_pixel_is_no_good_one(learn, inspect, tables, tmp_path):
    rng = np.random.default_rng(1)
    for folder in ("good", "test"):
        (tmp_path / folder).mkdir()
        for index in range(4):
            np.save(tmp_path / folder / f"i{index}.npy", rng.random((20, 20), np.float32))
    sparse = np.full((20, 20), np.nan, np.float32)
    sparse[::3, ::3] = 0.5
    np.save(tmp_path / "test" / "i2.npy", sparse)
    np.save(tmp_path / "test" / "i3.npy", np.full((20, 20), np.nan, np.float32))
    model = learn(tmp_path / "model", images=[tmp_path / "good"]).model()
    run = inspect(tmp_path / "run", images=[tmp_path / "test"], model=model)
    assert list(tables(run).images["verdict"][2:]) == ["ERROR", "ERROR"]
    assert all("too few of its pixels are valid" in text for text in run.failures().values())


def records(run):
    return sorted((Path(run.store.location) / "commits").iterdir())


@pytest.mark.parametrize("leaf_images", [4, 20])
def test_every_damaged_record_is_recomputed(start, data_set, output_of, leaf_images, shuffled):
    run = work(
        start(
            masks=data_set.root / "masks",
            leaf_images=leaf_images,
            chunk_images=1,
            measure=MeasureOptions("f1"),
        )
    )
    expected = output_of(run.store.location)
    for seed, path in enumerate(records(run)):
        path.write_bytes(path.read_bytes().replace(b'"attempt": "', b'"attempt": "0', 1))
        assert list(verify(run.store).damaged) == [path.stem]
        # All that reads it is due again, but for statistics that are part of others.
        outputs = ("tables-", "measure-", "set_threshold-")
        run.store.forget(key for key in run.store.committed() - {path.stem} if key.startswith(outputs))
        assert output_of(work(run, shuffled(seed, late=0.7)).store.location) == expected, path.stem
        for key, reason in verify(run.store).damaged.items():  # nothing reads it
            assert key.startswith(("evaluate-", "merge_", "tables-"))
            run.store.discard(key, reason)
    assert output_of(work(run).store.location) == expected
    assert not verify(run.store).damaged


@pytest.mark.parametrize(("what", "leaf_images"), [("scores", 4), ("scores", 20), ("masks", 4)])
def test_damaged_maps_are_recomputed_and_never_trusted(start, output_of, what, leaf_images, shuffled):
    run = work(start(leaf_images=leaf_images, chunk_images=2))
    expected = output_of(run.store.location)
    folder = Path(run.store.location) / "results" / "shape-0" / what
    chunks = sorted(
        (path for path in folder.glob("c/**/*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    assert len(chunks) > 2
    # The largest hold something: a chunk of empty masks may be missing without a loss.
    for seed, path in enumerate([*chunks[-2:], folder / "zarr.json"]):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x10
        for damaged in (bytes(data), data[: len(data) // 3], None):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            broken = verify(run.store).damaged
            kinds = {key.split("-")[0] for key in broken}
            writer = "score_images" if what == "scores" else "measure"
            # The last work vouches for descriptions; maps may be readable by a damaged one.
            assert (
                {"tables"} <= kinds <= {"tables", writer} if path.name == "zarr.json" else kinds == {writer}
            )
            if what == "masks":  # which nothing reads again
                for key, reason in broken.items():
                    run.store.discard(key, reason)
            run.store.forget(key for key in run.store.committed() if key.startswith(("tables-", "measure-")))
            assert output_of(work(run, shuffled(seed, late=0.7)).store.location) == expected
            assert not verify(run.store).damaged
    assert any(
        name.startswith("score_images" if what == "scores" else "measure") for name in quarantined(run)
    )


def quarantined(run):
    return [path.name for path in (Path(run.store.location) / "quarantine").iterdir()]


def test_a_lost_evaluation_is_made_again_for_the_report(start, data_set, output_of, shuffled):
    run = work(start(masks=data_set.root / "masks"), render=True)
    expected = output_of(run.store.location)
    report = f"report-{run.job.measure_digest}"
    run.store.forget(
        [run.evaluation_root, report, *(key for key in run.store.committed() if "evaluate" in key)]
    )
    assert output_of(work(run, shuffled(0, late=0.7), render=True).store.location) == expected


def test_what_garbage_collection_leaves_is_enough_for_another_threshold(start, data_set, output_of):
    run = work(start(masks=data_set.root / "masks"))
    collect_garbage(run.store, run.needed())
    assert not any(key.startswith("evaluate-") for key in run.store.committed())
    changed = work(change_measure(run, MeasureOptions("f1")))
    fresh = work(start("fresh", masks=data_set.root / "masks", measure=MeasureOptions("f1")))
    assert output_of(changed.store.location) == output_of(fresh.store.location)


def test_a_damaged_model_stops_the_run_instead_of_failing_every_image(start):
    run = start()
    array = Path(run.store.location) / "arrays" / "total" / "c" / "0" / "0"
    data = bytearray(array.read_bytes())
    data[9] ^= 1
    array.write_bytes(data)
    with pytest.raises(StoreError, match="array 'arrays/total'"):
        work(run)
    assert not open_run(run.store.location).failures()


def test_truth_that_is_not_what_the_job_names_is_refused(start, data_set):
    run = start(masks=data_set.root / "masks")
    (path,) = (Path(run.store.location) / "job").glob("truth-*")
    path.write_bytes(path.read_bytes()[:-5] + b"abcde")
    with pytest.raises(StoreError, match="missing or damaged"):
        work(run)


def test_every_task_waits_for_all_that_it_reads(start, data_set):
    run = start(masks=data_set.root / "masks")
    wave = list(run.missing(set(), render=True))
    done: set[str] = set()
    for node in wave:
        assert set(node.inputs) <= done, node.key
        done.add(node.key)
    (report,) = [node for node in wave if node.stage == "report"]
    # Merges of statistics are read by the threshold alone, but for those of what is known.
    unread = {node.key for node in wave if node.stage in ("merge_scores", "evaluate", "merge_evaluations")}
    assert set(report.inputs) == done - {report.key} - (unread - {run.evaluation_root})
    assert {node.stage: 0 for node in wave}.keys() == run.totals(render=True).keys()
    assert sum(run.totals(render=True).values()) == len(wave)
