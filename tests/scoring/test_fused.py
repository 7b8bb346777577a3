"""The fused path and the plain path give the same bytes; third-party scores and analyzers fit in."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from scorefold.analyzer import (
    AbstractAnalyzer,
    AnalyzerProduct,
    MaxScoreOverRotations,
    MaxScoreOverTranslations,
    RotationTable,
    ScoreMoments,
)
from scorefold.rotations import plane_rotations
from scorefold.scoring import score as score_register
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import available_providers, provider
from scorefold.scoring.fused import fold_terms
from scorefold.scoring.masks import template_mask
from scorefold.scoring.score import Score, get_score, register_score, score_names
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile

plain = fold_terms.dispatch(object)

MAPS = 3


def as_bytes(analyzer, state):
    arrays = analyzer.to_arrays(analyzer.result(state))
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}


def search(fold, *, name, ndim, dtype, fft, pad_edges, analyzer_of, target_mask=False):
    """Return the bytes that a whole search of two tiles leaves, with one way of folding."""
    rng = np.random.default_rng(5)
    shape, box = ((23, 19), (5, 6)) if ndim == 2 else ((8, 9, 10), (3, 4, 3))
    target = rng.gamma(2, 30, shape).astype(np.float32)
    mask = template_mask("sphere" if get_score(name).invariant_mask else "none", box)
    rotations = plane_rotations(50.0)
    if ndim == 3:
        rotations = Rotation.random(6, random_state=rng).as_matrix()
    score = get_score(name)
    template = Template(score.template_values(rng.normal(size=box)), mask, rotations, order=1)
    half = -(-shape[0] // 2)
    tiles = [
        Tile((start, *[0] * (ndim - 1)), (min(half, shape[0] - start), *shape[1:]), shape)
        for start in (0, half)
    ]
    fft_shape = tuple(n + b - 1 for n, b in zip((half, *shape[1:]), template.box, strict=True))
    engine = ExactEngine(
        template, rotations, score, provider(fft), fft_shape, dtype=dtype, pad_edges=pad_edges, fold=fold
    )
    weights = (rng.uniform(size=shape) < 0.8).astype(float)
    pixels = [
        tile.read(
            lambda region: target[region],
            template.box,
            mean=float(target.mean()),
            std=float(target.std()),
            margin=score.margin,
            pad_edges=pad_edges,
            read_weights=(lambda region: weights[region]) if target_mask else None,
        )
        for tile in tiles
    ]
    table = RotationTable(rotations)
    analyzers = [analyzer_of(tile, table, dtype) for tile in tiles]
    states = [analyzer.init_state() for analyzer in analyzers]
    batch = engine.prepare(tiles, pixels, analyzers)
    for rotation_id in range(len(rotations)):
        states = batch.fold(rotation_id, states)
    return [as_bytes(analyzer, state) for analyzer, state in zip(analyzers, states, strict=True)]


def product(tile, table, dtype):
    return AnalyzerProduct(
        MaxScoreOverRotations(
            tile.shape, offset=tile.start, rotations=table, dtype=dtype, score_threshold=0.05
        ),
        ScoreMoments(),
    )


@pytest.mark.parametrize("fft", available_providers())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", ["CC", "LCC", "NCC", "FLC", "FLCSphericalMask", "CAM", "MCC"])
def test_both_paths_give_the_same_bytes(name, ndim, dtype, fft):
    for pad_edges in (False, True):
        options = {"name": name, "ndim": ndim, "dtype": dtype, "fft": fft, "pad_edges": pad_edges}
        options["target_mask"] = name == "MCC"
        fused = search(fold_terms, **options, analyzer_of=product)
        assert fused == search(plain, **options, analyzer_of=product)
        assert fused[0] != fused[1], "nothing was scored"


elements = st.one_of(
    st.floats(-2, 2, width=32), st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, np.float32(1e-40)])
)


@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]), weighted=st.booleans())
@settings(deadline=None)
def test_both_paths_agree_on_any_terms_and_window(data, dtype, weighted):
    """Ties, signed zeros, NaN and infinities, empty windows, non-contiguous views."""
    shape = data.draw(st.one_of(st.tuples(*[st.integers(1, 5)] * 2), st.tuples(*[st.integers(1, 3)] * 3)))
    rotations = np.stack(
        [np.eye(len(shape)) * (1 + i) for i in range(MAPS)]
    )  # any matrices serve as rotations
    maximum = MaxScoreOverRotations(
        shape,
        rotations=rotations,
        dtype=dtype,
        score_threshold=data.draw(st.sampled_from([0.0, -1.0, -np.inf])),
    )
    # Moments refuse infinite sums on both paths alike; here the maps go to the maximum alone.
    states = {fold: maximum.init_state() for fold in (fold_terms, plain)}
    for rotation_id in data.draw(st.permutations(range(MAPS))):
        numerator = np.asfortranarray(data.draw(hnp.arrays(dtype, shape, elements=elements)))
        weight = np.abs(data.draw(hnp.arrays(dtype, shape, elements=elements))) if weighted else None
        window = tuple(
            data.draw(st.tuples(st.integers(0, n), st.integers(0, n)).map(sorted).map(tuple)) for n in shape
        )
        for fold, state in states.items():
            with np.errstate(all="ignore"):
                states[fold] = fold(
                    maximum, state, numerator, weight, window, rotations[rotation_id], rotation_id
                )
    assert as_bytes(maximum, states[fold_terms]) == as_bytes(maximum, states[plain])


@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]), weighted=st.booleans())
@settings(deadline=None)
def test_both_paths_agree_on_moments(data, dtype, weighted):
    shape = data.draw(
        st.one_of(st.tuples(st.integers(1, 4), st.integers(1, 20)), st.tuples(*[st.integers(1, 4)] * 3))
    )
    finite = st.floats(-3, 3, width=32)
    numerator = data.draw(hnp.arrays(dtype, shape, elements=finite))
    weight = np.abs(data.draw(hnp.arrays(dtype, shape, elements=finite))) if weighted else None
    window = tuple(
        data.draw(st.tuples(st.integers(0, n), st.integers(0, n)).map(sorted).map(tuple)) for n in shape
    )
    moments = ScoreMoments()
    terms = (numerator, weight, window, np.eye(len(shape)), 0)
    assert fold_terms(moments, moments.init_state(), *terms) == plain(moments, moments.init_state(), *terms)


class Halved(MaxScoreOverRotations):
    """Counts half of every score."""

    def __call__(self, state, scores, rotation_matrix, **kwargs):
        return super().__call__(state, scores / 2, rotation_matrix, **kwargs)


class OnlyPositive(ScoreMoments):
    """Leaves out negative scores."""

    def __call__(self, state, scores, rotation_matrix, **kwargs):
        return super().__call__(state, np.where(scores < 0, np.nan, scores), rotation_matrix, **kwargs)


def test_subclasses_with_their_own_call_take_the_plain_path():
    options = {"name": "FLC", "ndim": 2, "dtype": "float32", "fft": "scipy", "pad_edges": False}

    def own(tile, table, dtype):
        return AnalyzerProduct(Halved(tile.shape, rotations=table, dtype=dtype), OnlyPositive())

    def built_in(tile, table, dtype):
        return AnalyzerProduct(
            MaxScoreOverRotations(tile.shape, rotations=table, dtype=dtype), ScoreMoments()
        )

    ours = search(fold_terms, **options, analyzer_of=own)
    assert ours == search(plain, **options, analyzer_of=own)
    for half, full in zip(ours, search(fold_terms, **options, analyzer_of=built_in), strict=True):
        assert half != full


class Count(AbstractAnalyzer):
    """A third party's analyzer: how often each position was scored, and by which rotations."""

    def __init__(self, shape):
        self.shape = shape

    def init_state(self):
        return np.zeros(self.shape, int), []

    def __call__(self, state, scores, rotation_matrix, **kwargs):
        return state[0] + np.isfinite(scores), [*state[1], kwargs["rotation_id"]]

    def result(self, state, **kwargs):
        return state

    def merge(self, results, **kwargs):
        counts, ids = zip(*[result for result in results if result is not None], strict=True)
        return sum(counts), sorted(itertools.chain(*ids))

    def resume(self, result):
        return result

    def to_arrays(self, result):
        return {"count": result[0], "ids": np.array(result[1])}

    def from_arrays(self, arrays):
        return arrays["count"], list(arrays["ids"])

    shareable = False


@pytest.mark.parametrize(
    "analyzer_of",
    [
        lambda tile, table, dtype: Count(tile.shape),
        lambda tile, table, dtype: AnalyzerProduct(Count(tile.shape), product(tile, table, dtype)),
        lambda tile, table, dtype: MaxScoreOverRotations(
            tile.shape, dtype=dtype
        ),  # learns rotations as they come
        lambda tile, table, dtype: MaxScoreOverRotations(tile.shape, rotations=table, use_memmap=True),
        lambda tile, table, dtype: MaxScoreOverRotations(tile.shape, rotations=table, jax_mode=True),
        lambda tile, table, dtype: MaxScoreOverTranslations(tile.shape),
    ],
    ids=["third party", "product with a third party", "no set", "memory map", "functional", "translations"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_analyzer_folds_and_gives_the_bytes_of_the_plain_path(analyzer_of, dtype):
    options = {"name": "FLC", "ndim": 2, "dtype": dtype, "fft": "scipy", "pad_edges": False}
    fused = search(fold_terms, **options, analyzer_of=analyzer_of)
    assert fused == search(plain, **options, analyzer_of=analyzer_of)


def test_an_analyzer_sees_every_rotation_once_and_only_scored_positions():
    options = {"name": "FLC", "ndim": 2, "dtype": "float32", "fft": "scipy", "pad_edges": True}
    for part in search(fold_terms, **options, analyzer_of=lambda tile, table, dtype: Count(tile.shape)):
        count = len(plane_rotations(50.0))
        assert part["ids"][2] == np.arange(count).tobytes()
        assert part["count"][2] == np.full(part["count"][1], count).tobytes()


@pytest.fixture
def mean_brightness():
    """Register a third party's score, and forget it afterwards."""

    @register_score("MeanBrightness")
    class MeanBrightness(Score):
        def prepare_tile(self, tile, template, correlator):
            return correlator.target_spectrum(tile.values * tile.std + tile.mean, "double")

        def prepare_rotation(self, rotated, correlator):
            return correlator.template_spectrum(rotated.weights / rotated.weights.sum(), "double")

        def terms(self, tile, rotation, correlator):
            return correlator.correlate(tile, rotation, "double").astype(correlator.dtype), None

    yield MeanBrightness
    del score_register._SCORES["MeanBrightness"]


def test_a_third_partys_score_works_by_name_through_the_engine(mean_brightness):
    assert "MeanBrightness" in score_names()
    assert isinstance(get_score("meanbrightness"), mean_brightness)
    options = {"name": "MeanBrightness", "ndim": 2, "dtype": "float32", "fft": "scipy", "pad_edges": False}
    fused = search(fold_terms, **options, analyzer_of=product)
    assert fused == search(plain, **options, analyzer_of=product)


def test_a_score_name_belongs_to_one_class(mean_brightness):
    register_score("MeanBrightness")(mean_brightness)
    with pytest.raises(ValueError, match=r"registered already, by .*Brightness"):
        register_score("MeanBrightness")(type("Another", (Score,), {}))
