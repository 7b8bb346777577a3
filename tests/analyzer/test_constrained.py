"""A constrained search counts a rotation only near seeds that allow it."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scorefold.analyzer import MaxScoreOverRotations, MaxScoreOverRotationsConstrained
from scorefold.errors import InputError


def turn(degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine], [sine, cosine]])


def about(axis, degrees):
    """Return the 3D rotation about an array axis."""
    return Rotation.from_rotvec(np.eye(3)[axis] * degrees, degrees=True).as_matrix()


def make(shape=(7, 9), positions=((1, 1), (5, 7)), references=(0, 90), **keywords):
    keywords = {"cone_angle": 10, "acceptance_radius": 2, "score_threshold": -np.inf, **keywords}
    matrices = [turn(angle) for angle in references]
    return MaxScoreOverRotationsConstrained(shape, positions, matrices, **keywords)


def distances(shape, seed, offset=(0, 0)):
    grid = np.indices(shape) + np.reshape(offset, (-1, 1, 1))
    return np.sqrt(((grid - np.reshape(seed, (-1, 1, 1))) ** 2).sum(axis=0))


def test_allowed_positions_are_balls_around_allowing_seeds():
    analyzer = make()
    near_first, near_second = (distances((7, 9), seed) <= 2 for seed in ((1, 1), (5, 7)))
    np.testing.assert_array_equal(analyzer.allowed_positions(turn(-10)), near_first)
    np.testing.assert_array_equal(analyzer.allowed_positions(turn(85)), near_second)
    assert not analyzer.allowed_positions(turn(45)).any()
    both = make(cone_angle=50)
    np.testing.assert_array_equal(both.allowed_positions(turn(45)), near_first | near_second)


def test_result_is_the_maximum_over_allowed_rotations():
    rng = np.random.default_rng(0)
    angles = np.arange(-180, 180, 7.5)
    analyzer = make(cone_angle=30, acceptance_radius=3)
    state = analyzer.init_state()
    best = np.full((7, 9), -np.inf, dtype=np.float32)
    for angle in angles:
        scores = rng.normal(size=(7, 9)).astype(np.float32)
        state = analyzer(state, scores=scores, rotation_matrix=turn(angle))
        for seed, reference in (((1, 1), 0), ((5, 7), 90)):
            deviation = abs((angle - reference + 180) % 360 - 180)
            here = (distances((7, 9), seed) <= 3) & (deviation <= 30)
            best[here] = np.maximum(best, scores)[here]
    np.testing.assert_array_equal(analyzer.result(state).scores, best)


def test_forbidden_rotation_never_beats_an_allowed_one():
    analyzer = make()
    state = analyzer.init_state()
    state = analyzer(state, scores=np.full((7, 9), 0.9), rotation_matrix=turn(180))
    state = analyzer(state, scores=np.full((7, 9), -0.4), rotation_matrix=turn(0))
    scores, _, rotations, mapping = analyzer.result(state)
    near = distances((7, 9), (1, 1)) <= 2
    np.testing.assert_array_equal(scores, np.where(near, np.float32(-0.4), -np.inf))
    assert (rotations[~near] == -1).all()
    np.testing.assert_array_equal(mapping[int(rotations[1, 1])], turn(0))


def test_tiles_give_what_the_whole_target_gives():
    rng = np.random.default_rng(1)
    maps = [(rng.normal(size=(7, 9)), turn(angle)) for angle in (0, 5, 90, 95, 200)]
    whole = make()
    state = whole.init_state()
    for scores, matrix in maps:
        state = whole(state, scores=scores, rotation_matrix=matrix)
    parts = []
    for start, stop in ((0, 4), (4, 9)):
        tile = make(shape=(7, stop - start), offset=(0, start))
        part = tile.init_state()
        for scores, matrix in maps:
            part = tile(part, scores=scores[:, start:stop], rotation_matrix=matrix)
        parts.append(tile.result(part))
    merged, expected = MaxScoreOverRotations.merge(parts), whole.result(state)
    np.testing.assert_array_equal(merged.scores, expected.scores)
    np.testing.assert_array_equal(merged.rotations, expected.rotations)


def make_3d(reference, **keywords):
    return MaxScoreOverRotationsConstrained(
        (1, 1, 1), [[0, 0, 0]], reference, **{"acceptance_radius": 0, "cone_angle": 20, **keywords}
    )


@pytest.mark.parametrize("reference", [np.eye(3), about(1, 40) @ about(0, 100), about(2, 180)])
def test_cone_in_space_is_about_the_axis(reference):
    analyzer = make_3d(reference)
    for spin in (0, 77, 180):
        for axis in (1, 2):
            assert analyzer.allowed_positions(reference @ about(0, spin) @ about(axis, 20)).all()
            assert not analyzer.allowed_positions(reference @ about(axis, 20.1) @ about(0, spin)).any()
    assert not analyzer.allowed_positions(reference @ about(1, 180)).any()


def test_in_plane_angle_limits_the_twist():
    reference = about(1, 40) @ about(0, 100)
    analyzer = make_3d(reference, in_plane_angle=15)
    for tilt in (-20, 0, 20):
        for spin, is_allowed in (
            (-15, True),
            (0, True),
            (15, True),
            (15.1, False),
            (-90, False),
            (180, False),
        ):
            # Swing times twist, which is how the limit is defined.
            matrix = reference @ about(2, tilt) @ about(0, spin)
            assert analyzer.allowed_positions(matrix).all() == is_allowed, (tilt, spin)


def test_axis_can_be_chosen():
    analyzer = make_3d(np.eye(3), axis=(0, 0, 2))
    assert analyzer.allowed_positions(about(2, 123)).all()
    assert not analyzer.allowed_positions(about(0, 30)).any()


def test_one_reference_serves_all_seeds():
    analyzer = MaxScoreOverRotationsConstrained((3, 3), [[0, 0], [2, 2]], np.eye(2), 1, 0)
    np.testing.assert_array_equal(analyzer.allowed_positions(np.eye(2)), np.eye(3) * [1, 0, 1])


def test_seeds_outside_the_tile_and_no_seeds_are_fine():
    assert not make(positions=[[-30, 2], [90, 90]]).allowed_positions(turn(0)).any()
    nowhere = MaxScoreOverRotationsConstrained((3, 3), np.empty((0, 2)), np.empty((0, 2, 2)), 10, 1)
    assert not nowhere.allowed_positions(np.eye(2)).any()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"cone_angle": -1}, "cone_angle -1"),
        ({"cone_angle": np.nan}, "cone_angle nan"),
        ({"acceptance_radius": -1}, "acceptance_radius -1"),
        ({"positions": [[1, 2, 3]]}, "positions of shape"),
        ({"positions": [[1, np.nan], [0, 0]]}, "positions of shape"),
        ({"references": (0, 1, 2)}, "for each of 2 seeds"),
        ({"in_plane_angle": 3}, "3D only"),
        ({"axis": (1, 0)}, "3D only"),
        ({"jax_mode": True}, "jax_mode"),
    ],
)
def test_bad_parameters_are_refused(keywords, message):
    with pytest.raises(InputError, match=message):
        make(**keywords)


def test_references_must_be_rotations_and_the_axis_a_direction():
    with pytest.raises(InputError, match="row 1 deviates"):
        MaxScoreOverRotationsConstrained((3, 3), np.zeros((2, 2)), [np.eye(2), 2 * np.eye(2)], 10, 1)
    with pytest.raises(InputError, match="axis"):
        make_3d(np.eye(3), axis=(0, 0, 0))
    with pytest.raises(InputError, match="two or three"):
        MaxScoreOverRotationsConstrained((3,), np.zeros((1, 1)), np.eye(1), 10, 1)
