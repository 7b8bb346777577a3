"""Any tiling gives the scores of one tile; tiles cover every position once and read nothing from outside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from scorefold.analyzer import MaxScoreOverRotations, RotationTable
from scorefold.errors import InputError
from scorefold.planning.tiling import Tiling
from scorefold.rotations import plane_rotations
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import provider
from scorefold.scoring.masks import template_mask
from scorefold.scoring.score import TargetTile, get_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile

SCORES = ("CC", "LCC", "NCC", "FLC", "FLCSphericalMask", "MCC")


class Strict:
    """An array that refuses to be read outside of its bounds."""

    def __init__(self, array):
        self.array = array

    def __call__(self, region):
        for part, length in zip(region, self.array.shape, strict=True):
            assert 0 <= part.start < part.stop <= length, "read outside of the target"
            assert part.step is None
        return self.array[region]


def search(target, template, name, rotations, tiling, *, pad_edges=False, target_mask=None):
    """Return best scores, rotations and -inf where nothing was scored, from one tiling."""
    score = get_score(name)
    engine = ExactEngine(
        template, rotations, score, provider(), tiling.fft_shape, dtype="float64", pad_edges=pad_edges
    )
    table = RotationTable(rotations)
    results = []
    for tile in tiling.tiles():
        analyzer = MaxScoreOverRotations(
            tile.shape, offset=tile.start, rotations=table, dtype="float64", score_threshold=-np.inf
        )
        pixels = tile.read(
            Strict(target),
            template.box,
            mean=float(target.mean()),
            std=float(target.std()),
            margin=score.margin,
            pad_edges=pad_edges,
            read_weights=None if target_mask is None else Strict(target_mask),
        )
        assert pixels.values.shape == tuple(
            n + b - 1 + 2 * score.margin for n, b in zip(tile.shape, template.box, strict=True)
        )
        batch, states = engine.prepare([tile], [pixels], [analyzer]), [analyzer.init_state()]
        for rotation_id in range(len(rotations)):
            states = batch.fold(rotation_id, states)
        results.append(analyzer.result(states[0]))
    merged = MaxScoreOverRotations.merge(results)
    scores, ids = np.full(target.shape, -np.inf), np.full(target.shape, -1)
    place = tuple(slice(o, o + n) for o, n in zip(merged.offset, merged.scores.shape, strict=True))
    scores[place], ids[place] = merged.scores, merged.rotations
    return scores, ids


def tiling_of(shape, cell, template, reach, extra=0):
    fft_shape = tuple(c + b - 1 + extra for c, b in zip(cell, template.box, strict=True))
    return Tiling(shape, cell, reach, fft_shape)


@given(data=st.data(), name=st.sampled_from(SCORES), pad_edges=st.booleans(), masked=st.booleans())
@settings(deadline=None, max_examples=60)
def test_any_tiling_gives_the_scores_of_one_tile(data, name, pad_edges, masked):
    ndim = data.draw(st.sampled_from([2, 2, 3]))
    shape = tuple(data.draw(st.integers(7, 26 if ndim == 2 else 9)) for _ in range(ndim))
    score = get_score(name)
    least = 3 if score.invariant_mask else 2  # a sphere needs three voxels across
    box = tuple(data.draw(st.integers(least, 6 if ndim == 2 else 3)) for _ in range(ndim))
    cell = tuple(data.draw(st.integers(3, n)) for n in shape)
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    target, values = rng.gamma(2, 20, shape), rng.normal(size=box)
    mask = template_mask("sphere" if score.invariant_mask else "none", box)
    rotations = plane_rotations(45.0)[[0, 1, 3]]
    if ndim == 3:
        rotations = Rotation.random(2, random_state=rng).as_matrix()
    template = Template(score.template_values(values), mask, rotations)
    whole = pad_edges or score.partial_overlap
    reach = ((0, 0),) * ndim if whole else template.reach
    if any(sum(ends) >= n for ends, n in zip(reach, shape, strict=True)):
        return
    weights = rng.uniform(size=shape) if masked and name == "MCC" else None
    options = {"pad_edges": pad_edges, "target_mask": weights}
    one = search(target, template, name, rotations, tiling_of(shape, shape, template, reach), **options)
    extra = data.draw(st.integers(0, 3))
    tiled = search(
        target, template, name, rotations, tiling_of(shape, cell, template, reach, extra), **options
    )
    scale = max(1.0, np.abs(one[0][np.isfinite(one[0])]).max(initial=0.0))
    # Double precision; local scores divide by deviations that may be 1e-4 of the target's.
    np.testing.assert_allclose(tiled[0], one[0], atol=1e-8 * scale)
    if whole:
        assert np.isfinite(one[0]).all(), "with padded edges every position is scored"
    clear = np.isfinite(one[0]) & ~ties(target, template, name, rotations, options, reach)
    np.testing.assert_array_equal(tiled[1][clear], one[1][clear])


def ties(target, template, name, rotations, options, reach):
    """Return where the best and the second best rotation are closer than rounding."""
    single = tiling_of(target.shape, target.shape, template, reach)
    maps = np.sort([search(target, template, name, r[None], single, **options)[0] for r in rotations], axis=0)
    with np.errstate(invalid="ignore"):
        return ~(maps[-1] - maps[-2] > 1e-6 * np.maximum(1.0, np.abs(maps[-1])))


@given(data=st.data(), ndim=st.sampled_from([1, 2, 3]))
def test_tiles_cover_every_scoreable_position_exactly_once(data, ndim):
    shape = tuple(data.draw(st.integers(1, 12)) for _ in range(ndim))
    cell = tuple(data.draw(st.integers(1, n + 2)) for n in shape)
    reach = tuple(data.draw(st.tuples(st.integers(0, 6), st.integers(0, 6))) for _ in shape)
    count = np.zeros(shape, int)
    for tile in Tiling(shape, cell, reach, cell).tiles():
        place = tuple(slice(a, a + n) for a, n in zip(tile.start, tile.shape, strict=True))
        assert count[place].shape == tile.shape
        assert all(a // c == (a + n - 1) // c for a, n, c in zip(tile.start, tile.shape, cell, strict=True))
        count[place] += 1
    expected = np.zeros(shape, int)
    expected[tuple(slice(a, max(n - b, a)) for (a, b), n in zip(reach, shape, strict=True))] = 1
    np.testing.assert_array_equal(count, expected)


@given(data=st.data())
def test_a_window_is_where_the_support_lies_inside_the_target(data):
    whole = data.draw(st.integers(1, 14))
    size = data.draw(st.integers(1, 9))
    low, high = sorted(data.draw(st.tuples(*[st.integers(0, size - 1)] * 2)))
    start = data.draw(st.integers(0, whole - 1))
    length = data.draw(st.integers(1, whole - start))
    ((first, stop),) = Tile((start,), (length,), (whole,)).window(((low, high),), (size,))
    assert 0 <= first <= stop <= length
    for i in range(length):
        origin = start + i - (size - 1) // 2
        assert (first <= i < stop) == (origin + low >= 0 and origin + high < whole)


def test_values_outside_of_the_target_are_its_mean_or_its_mirror_image():
    target = np.arange(12.0).reshape(3, 4)
    tile = Tile((0, 2), (2, 2), (3, 4))
    mean, std = target.mean(), target.std()
    plain = tile.read(Strict(target), (3, 4), mean=mean, std=std)
    mirrored = tile.read(Strict(target), (3, 4), mean=mean, std=std, pad_edges=True)
    everything = np.pad((target - mean) / std, 4, mode="symmetric")
    np.testing.assert_allclose(mirrored.values, everything[3:7, 5:10])
    inside = plain.weights == 1
    np.testing.assert_allclose(plain.values, np.where(inside, mirrored.values, 0))
    assert inside.sum() == 3 * 3
    assert set(np.unique(plain.weights)) == {0, 1}


def test_a_tile_inside_has_no_weights_unless_there_is_a_target_mask():
    target = np.arange(100.0).reshape(10, 10)
    tile = Tile((4, 4), (2, 2), (10, 10))
    assert tile.read(Strict(target), (3, 3), mean=0, std=1).weights is None
    masked = tile.read(Strict(target), (3, 3), mean=0, std=1, read_weights=Strict(target))
    np.testing.assert_array_equal(masked.weights, target[3:7, 3:7])


def test_a_tile_larger_than_its_transform_allows_is_refused():
    template = Template(np.eye(3), np.ones((3, 3)), np.eye(2)[None])
    engine = ExactEngine(template, np.eye(2)[None], get_score("FLC"), provider(), (10, 10))
    tile = Tile((0, 0), (9, 8), (20, 20))
    with pytest.raises(InputError, match=r"tile of shape \(9, 8\): larger than a transform allows, \(8, 8\)"):
        engine.prepare([tile], [TargetTile(np.zeros((11, 10)), None, 0, 1)], [None])
