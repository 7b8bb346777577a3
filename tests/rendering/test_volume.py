"""The overlay of a volume: slices where they should be, projections that miss nothing, little read."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.errors import InputError
from scorefold.rendering import DrawnPick, encode_png, maximum_projections, overlay_volume
from scorefold.rendering import volume as volume_module


class Counted:
    """An array that counts the elements read from it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape
        self.read = 0
        self.largest = 0

    def __getitem__(self, region):
        part = self.array[region]
        self.read += part.size
        self.largest = max(self.largest, part.size)
        return part


def scene(shape=(30, 50, 70)):
    generator = np.random.default_rng(4)
    picks = [
        DrawnPick(np.array([12.0, 20.0, 55.0]), np.eye(3), 0.9, 1, "v"),
        DrawnPick(np.array([13.0, 40.0, 15.0]), np.eye(3), 0.7, 2, "v"),
    ]
    return generator.normal(size=shape), np.abs(generator.normal(size=shape)) / 9, picks


@settings(deadline=None)  # a busy machine is no failure
@given(st.tuples(*[st.integers(1, 9)] * 3), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_projections_are_maxima_along_each_axis_in_slabs_of_any_size(shape, slab, seed):
    scores = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volume_module, "_SLAB_ELEMENTS", slab)
        projections = maximum_projections(scores)
    for axis, projection in enumerate(projections):
        np.testing.assert_array_equal(projection, scores.max(axis=axis))


def test_projections_read_once_in_slabs_of_whole_chunks_and_ignore_nan(monkeypatch):
    scores = np.random.default_rng(0).normal(size=(40, 8, 8))
    scores[3, 2, 1] = np.nan
    monkeypatch.setattr(volume_module, "_SLAB_ELEMENTS", 11 * 64)
    counted = Counted(scores)
    counted.chunks = (4, 8, 8)
    projections = maximum_projections(counted)
    assert counted.read == scores.size
    assert counted.largest == 8 * 64  # two chunks: the most that stay below eleven slices
    for axis, projection in enumerate(projections):
        np.testing.assert_array_equal(projection, np.nanmax(scores, axis=axis))


def test_only_three_slices_of_the_volume_are_read():
    image, scores, picks = scene()
    counted = Counted(image)
    overlay_volume(counted, scores, picks, np.ones((9, 9, 9)), threshold=0.5, title="v")
    depth, height, width = image.shape
    assert counted.read == height * width + depth * width + depth * height


def test_arrays_in_memory_and_in_zarr_give_the_same_bytes():
    image, scores, picks = scene()
    mask = np.ones((9, 9, 9))
    arguments = {"threshold": 0.5, "title": "v", "pixel_size": 13.5, "unit": "Å"}
    stored = [
        zarr.create_array({}, shape=a.shape, chunks=(8, 16, 16), dtype=a.dtype) for a in (image, scores)
    ]
    stored[0][...], stored[1][...] = image, scores
    expected = overlay_volume(image, scores, picks, mask, **arguments)
    found = overlay_volume(*stored, picks[::-1], mask, **arguments)
    assert encode_png(found) == encode_png(expected)


def test_slices_go_through_the_best_pick():
    _, scores, picks = scene()
    image = np.zeros(scores.shape)
    image[12, 20, 55] = 1.0  # seen in all three slices, and in none beside them
    seen = [
        int(
            (
                overlay_volume(image, scores, found, np.ones((25, 25, 25)), threshold=0.5, title="v") == 255
            ).sum()
        )
        for found in (picks[:1], [DrawnPick(np.array([13.0, 21.0, 56.0]), np.eye(3), 0.9, 1, "v")])
    ]
    pixel = 6 * 6 * 3  # enlarged, in three colours
    assert seen[0] - seen[1] >= 2.5 * pixel


def test_marks_lie_where_the_image_and_the_scores_show_the_pick_in_every_view(monkeypatch):
    position = np.array([8.0, 31.0, 52.0])
    image = np.zeros((30, 50, 70))
    image[7:10, 30:33, 51:54] = 1.0
    seen = []
    monkeypatch.setattr(
        volume_module,
        "draw_marks",
        lambda panel, marks, *_, **__: seen.append((panel.copy(), marks[0].centre)),
    )
    monkeypatch.setattr(
        volume_module, "draw_rings", lambda panel, centres, _: seen.append((panel.copy(), centres[0]))
    )
    pick = DrawnPick(position, np.eye(3), 0.9, 1, "v")
    overlay_volume(image, image, [pick], np.ones((5, 5, 5)), threshold=0.5, title="v")
    assert len(seen) == 6
    for panel, centre in seen:
        brightness = panel.sum(axis=2)
        found = np.argwhere(brightness == brightness.max()).mean(axis=0)
        np.testing.assert_allclose(centre, found)


def test_without_picks_the_slices_go_through_the_middle():
    image, scores, _ = scene()
    picture = overlay_volume(image, scores, [], np.ones((5, 5, 5)), threshold=0.5, title="v")
    assert picture.dtype == np.uint8


def test_a_volume_reduced_beforehand_gives_picks_their_place():
    image, scores, picks = scene()
    factor = 3
    moved = [
        DrawnPick((p.position + 0.5) * factor - 0.5, p.rotation, p.score, p.rank, p.target) for p in picks
    ]
    small = overlay_volume(image, scores, picks, np.ones((5, 5, 5)), threshold=0.5, title="v")
    large = overlay_volume(
        image, scores, moved, np.ones((15, 15, 15)), threshold=0.5, title="v", factor=factor
    )
    # Remark and caption state full-resolution numbers, and large masks are traced a little differently.
    below_captions = slice(110, None)
    different = (small[below_captions] != large[below_captions]).any(axis=2)
    assert different.mean() < 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"volume": np.zeros((4, 4))}, "two 3D arrays"),
        ({"score_volume": np.zeros((4, 4, 5))}, "two 3D arrays"),
        ({"picks": [DrawnPick(np.zeros(2), np.eye(2), 1.0, 1, "a")]}, "2 coordinates"),
        ({"pixel_size": 2.0}, "without a unit"),
    ],
)
def test_input_that_cannot_be_drawn_is_refused(change, message):
    arguments = {"volume": np.zeros((4, 4, 4)), "score_volume": np.zeros((4, 4, 4)), "picks": []}
    arguments |= {"template_mask": np.ones((3, 3, 3)), "threshold": 0.5, "title": "v", **change}
    with pytest.raises(InputError, match=message):
        overlay_volume(**arguments)
