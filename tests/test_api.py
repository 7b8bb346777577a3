"""The Python interface: what it takes, what it gives back, what it refuses."""

from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from distributed import Client
from scipy.spatial.transform import Rotation

import scorefold
from scorefold import match, open_run
from scorefold.errors import InputError, StoreError
from scorefold.rotations import angle_to_matrix, geodesic_angle
from scorefold.testing.planting import chain_density, plant

pytestmark = pytest.mark.timeout(60)

OPTIONS = {"mask": "disk", "step": 90, "threshold": 0.9, "render": False}


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).normal(size=(64, 80))


@pytest.fixture(scope="module")
def template(image):
    return np.rot90(image[20:33, 30:43])


FOUND = [[26.0, 36.0, 270.0]]


def places(found):
    return found.picks[["y", "x", "angle"]].round(1).to_numpy().tolist()


KINDS = {
    "numpy": lambda image, folder: image,
    "dask": lambda image, folder: da.from_array(image, chunks=(17, 23)),
    "zarr": lambda image, folder: zarr.create_array(str(folder / "a.zarr"), data=image),
    "path": lambda image, folder: save(folder / "a.npy", image),
    "text": lambda image, folder: str(save(folder / "a.npy", image)),
    "list of a path": lambda image, folder: [save(folder / "a.npy", image)],
    "integers": lambda image, folder: np.rint(image * 1000).astype(np.int16),
    "Fortran order": lambda image, folder: np.asfortranarray(image),
    "big endian": lambda image, folder: image.astype(">f4"),
}


def save(path, array):
    np.save(path, array)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_targets_of_every_kind_are_searched(image, template, tmp_path, kind):
    found = match(KINDS[kind](image, tmp_path), template, **OPTIONS)
    assert places(found) == FOUND


def test_templates_of_every_kind_are_used(image, template, tmp_path):
    assert places(match(image, save(tmp_path / "t.npy", template), **OPTIONS)) == FOUND
    assert places(match(image, da.from_array(template), **OPTIONS)) == FOUND


def test_arrays_of_several_shapes_and_files_are_one_run(image, template, tmp_path):
    targets = [image, save(tmp_path / "file.npy", image[:50]), image[10:, 5:]]
    found = match(targets, template, **OPTIONS)
    assert set(found.picks["target"]) == set(found.scores) == {"file", "array-0000", "array-0001"}
    shapes = {name: scores.shape for name, scores in found.scores.items()}
    assert shapes == {"file": (50, 80), "array-0000": (64, 80), "array-0001": (54, 75)}
    row = found.picks.set_index("target").loc["array-0001"]
    assert (round(row["y"]), round(row["x"])) == (16, 31)


def test_a_volume_is_searched():
    rng = np.random.default_rng(2)
    volume = rng.normal(size=(30, 34, 38))
    found = match(volume, volume[8:17, 10:19, 20:29], mask="sphere", rotations=np.eye(3)[None], threshold=0.9)
    assert found.picks[["z", "y", "x"]].round(1).to_numpy().tolist() == [[12, 14, 24]]
    assert found.picture("array-0000").startswith(b"\x89PNG")
    assert (Path(found.location) / "tables" / "picks.star").exists()


@pytest.fixture(scope="module")
def finished(image, template, tmp_path_factory):
    return match([image, image[:40]], template, out=tmp_path_factory.mktemp("api") / "run", **OPTIONS)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("refine", [True, False])
def test_the_rotations_of_picks_are_those_of_the_table(ndim, refine):
    rng = np.random.default_rng(3)
    particle = chain_density(rng, 12) if ndim == 3 else chain_density(rng, 21).max(axis=0)
    target = rng.normal(scale=0.02, size=(28,) * ndim if ndim == 3 else (60, 60))
    turn = (
        Rotation.from_euler("ZYZ", [10, 7, 4], degrees=True).as_matrix()
        if ndim == 3
        else angle_to_matrix(10.0)
    )
    centre = [n / 2 for n in target.shape]
    plant(target, particle, np.ones(particle.shape), [centre], [turn], add=True)
    found = match(target, particle, mask="sphere", step=30, top=1, threshold=0.3, render=False, refine=refine)
    (matrix,), (row,) = found.pick_rotations, found.picks.to_dict("records")
    nearest = found.rotation_set[row["rotation_id"]]
    if refine:
        assert geodesic_angle(matrix, turn) < geodesic_angle(nearest, turn) / 2
    else:
        np.testing.assert_allclose(matrix, nearest, atol=1e-6)


def test_maps_are_lazy_and_read_only(finished, image):
    scores, rotations = finished.scores["array-0000"], finished.rotations["array-0000"]
    assert isinstance(scores.zarr, zarr.Array)
    assert (scores.dtype, rotations.dtype) == (np.float32, np.int32)
    assert scores.shape == rotations.shape == image.shape
    assert scores[26, 36] == scores[...].max()
    assert rotations[26, 36] == 3
    assert rotations[0, 0] == -1
    assert finished.rotation_set.shape == (4, 2, 2)
    assert "2 targets" in repr(finished.scores)
    np.testing.assert_array_equal(np.asarray(scores), scores[...])
    assert (scores.ndim, len(scores), repr(scores)) == (2, 64, "<results/array-0000/scores, float32[64, 80]>")
    with pytest.raises(TypeError, match="assignment"):
        scores[0, 0] = 1.0
    with pytest.raises(ValueError, match="read"):
        scores.zarr[0, 0] = 1.0
    with pytest.raises(KeyError):
        finished.scores["nothing"]


@pytest.mark.parametrize(
    "selection",
    [
        (3, 4), (-1, -1), 5, ..., slice(None), (slice(2, 9), slice(-4, None)), (..., 7), (slice(None, None, 3), 0),
        ([1, 5], slice(0, 3)),
        np.array([1, 5]), (np.array([1, 5]), slice(0, 3)), np.ones((64, 80), bool),
        (slice(5, 5),), (np.int64(63), np.int64(79)),
    ],
    ids=str,
)  # fmt: skip
def test_a_selection_of_a_map_is_that_of_its_array(finished, selection):
    scores = finished.scores["array-0000"]
    assert np.array_equal(scores[selection], scores.zarr[...][selection])


def test_a_run_is_opened_again(finished):
    again = open_run(finished.location)
    pd.testing.assert_frame_equal(again.picks, finished.picks)
    assert again.failures == {}
    assert "4 rotations" in repr(again)
    assert again.report.endswith("report.html")


def test_a_notebook_shows_the_picks_with_or_without_a_picture(finished, image, template):
    assert "<table" in finished._repr_html_()
    assert "<img" not in finished._repr_html_()
    drawn = match(image, template, **{**OPTIONS, "render": True})
    assert "<table" in drawn._repr_html_()
    assert 'src="data:image/png;base64,' in drawn._repr_html_()
    with pytest.raises(KeyError):
        finished.picture("array-0000")


def test_picks_are_called_again_without_a_search(image, template):
    found = match(image, template, **OPTIONS)
    scores = found.scores["array-0000"][...]
    lower = found.repick(threshold=0.3, render=False)
    assert len(lower.picks) > 1
    assert lower.picks["score"].min() >= 0.3
    assert len(lower.repick(top=1, render=False).picks) == 1
    assert len(lower.repick(top=None, threshold=0.9, render=False).picks) == 1
    np.testing.assert_array_equal(open_run(found.location).scores["array-0000"][...], scores)
    with pytest.raises(InputError, match=r"option treshold: unknown\. Use .*threshold"):
        found.repick(treshold=0.5)
    with pytest.raises(InputError, match="top 0"):
        found.repick(top=0)


def test_unknown_options_are_refused_by_name(image, template):
    with pytest.raises(InputError, match=r"option maks: unknown\. Use .*mask"):
        match(image, template, maks="disk")
    with pytest.raises(TypeError):
        match(image)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], "none given"),
        (np.zeros((40, 40)), "all pixels are equal"),
        (np.ones((4, 40, 40, 3)), "give 2D images or 3D volumes"),
        (np.ones((40, 40), complex), "give real numbers"),
        (np.random.default_rng(0).normal(size=(30, 30, 30)), "template is 2D"),
        (np.random.default_rng(0).normal(size=(9, 40)), "smaller than the template"),
        ("nowhere/*.png", "nowhere"),
    ],
)
def test_targets_that_cannot_be_searched_are_refused(template, targets, message):
    with pytest.raises(InputError, match=message):
        match(targets, template, **OPTIONS)


def test_a_place_that_is_taken_is_refused(finished, image, template):
    with pytest.raises(InputError, match="something is there already"):
        match(image, template, out=finished.location, **OPTIONS)


def test_no_run_is_no_match(tmp_path):
    with pytest.raises(StoreError, match="no scorefold run"):
        open_run(tmp_path)


def test_a_run_from_memory_is_resumed_without_the_memory(image, template, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(progress):
        if progress.done["score_leaf"]:
            raise StoppedError

    with pytest.raises(StoppedError):
        match(image.copy(), template, out=tmp_path / "run", on_progress=stop, **OPTIONS)
    unfinished = open_run(tmp_path / "run")
    with pytest.raises(StoreError, match=r"not finished\. Go on with: scorefold resume"):
        _ = unfinished.picks
    assert "not finished" in unfinished._repr_html_()

    from scorefold.cluster import drive, executor, open_match

    with executor() as (working, _):
        drive(open_match(str(tmp_path / "run")), working, render=False)
    assert places(open_run(tmp_path / "run")) == FOUND


def test_a_relative_place_is_the_same_from_another_directory(image, template, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = match(image, template, out="run", **OPTIONS)
    monkeypatch.chdir("/")
    assert places(open_run(tmp_path / "run")) == FOUND
    assert len(found.scores["array-0000"][...])


def test_a_given_client_does_the_work_and_stays_open(image, template):
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0
    ) as client:
        tasks = []
        found = match(image, template, client=client, on_progress=tasks.append, **OPTIONS)
        assert places(found) == FOUND
        assert client.status == "running"
        assert places(match(da.from_array(image), template, client=client, **OPTIONS)) == FOUND
    assert tasks[-1].done == tasks[-1].total


def test_serial_is_a_scheduler_and_two_clusters_are_one_too_many(image, template):
    assert places(match(image, template, scheduler="serial", **OPTIONS)) == FOUND
    with pytest.raises(InputError, match="workers and client: give one of them"):
        match(image, template, scheduler="serial", workers=2, **OPTIONS)


def test_a_template_as_large_as_its_target_is_found(template):
    found = match(template, template, rotations=np.eye(2)[None], threshold=0.9, render=False)
    assert found.picks[["y", "x"]].to_numpy().tolist() == [[6, 6]]


def test_the_package_exports_what_the_tutorial_uses():
    assert scorefold.match is match
    with pytest.raises(AttributeError):
        _ = scorefold.nothing
