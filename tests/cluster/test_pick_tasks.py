"""Picks on finished maps: blocks with halo are the whole map; positions, angles and thresholds mean what they say."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from scorefold import match
from scorefold.analyzer import RotationTable
from scorefold.cluster.match import candidate_tasks, pick_tasks
from scorefold.planning.job import PickOptions
from scorefold.rotations import angle_to_matrix, geodesic_angle, plane_rotations
from scorefold.testing.planting import chain_density, plant

pytestmark = pytest.mark.timeout(90)


def called(scores, rotations, threshold=0.0, **options):
    """Return the picks of given maps, their refined positions and the histogram."""
    target = SimpleNamespace(shape=scores.shape, name="given")
    run = SimpleNamespace(
        job=SimpleNamespace(
            picks=PickOptions(threshold=threshold, **options),
            search=SimpleNamespace(score_threshold=0.0),
            half_voxel=(0.0,) * scores.ndim,
        ),
        rotation_table=RotationTable(plane_rotations(90)),
    )
    peaks = candidate_tasks.call_peaks(run, target, scores, rotations, threshold, run.job.picks)
    histogram = candidate_tasks._histogram(run, scores, rotations, max(float(scores.max()), threshold))
    return peaks, pick_tasks.refined_positions(run, scores, rotations, peaks), histogram


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 2.5, 4.0]), st.integers(1, 40))
def test_blocks_with_halo_give_the_picks_of_the_whole_map(seed, min_distance, voxels):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 12, (40, 17)).astype(np.float32) / 11  # many ties
    rotations = np.where(scores > 0, rng.integers(0, 4, scores.shape), -1).astype(np.int32)
    whole = called(scores, rotations, 0.5, min_distance=min_distance)
    blocks = candidate_tasks.blocks
    with pytest.MonkeyPatch.context() as patch:
        for tasks in (candidate_tasks, pick_tasks):
            patch.setattr(tasks, "blocks", lambda shape, halo: blocks(shape, halo, voxels))
        assert len(list(candidate_tasks.blocks(scores.shape, 1))) > 1
        parts = called(scores, rotations, 0.5, min_distance=min_distance)
    np.testing.assert_array_equal(parts[0].positions, whole[0].positions)
    np.testing.assert_array_equal(parts[0].rotations, whole[0].rotations)
    np.testing.assert_array_equal(parts[1], whole[1])
    np.testing.assert_array_equal(parts[2][0], whole[2][0])


@pytest.mark.parametrize("halo", [0, 1, 9])
@pytest.mark.parametrize("shape", [(40, 17), (1, 5), (23, 6, 7)])
def test_blocks_cover_a_map_once(shape, halo):
    covered = np.zeros(shape, int)
    for core, padded in candidate_tasks.blocks(shape, halo, voxels=50):
        covered[core] += 1
        for inner, outer, length in zip(core, padded, shape, strict=True):
            assert outer.start in (0, inner.start - halo)
            assert outer.stop in (length, inner.stop + halo)
    assert (covered == 1).all()


def bumps(shape, centres, heights, width=2.0):
    grid = np.stack(np.indices(shape), axis=-1)
    return sum(
        height * np.exp(-((grid - centre) ** 2).sum(axis=-1) / (2 * width**2))
        for centre, height in zip(centres, heights, strict=True)
    ).astype(np.float32)


CENTRES = [(10.3, 12.4), (10.0, 30.0), (25.7, 6.6), (30.2, 33.9), (3.1, 20.0)]
HEIGHTS = [0.9, 0.8, 0.7, 0.6, 0.5]


@pytest.fixture
def map_of_bumps():
    scores = bumps((40, 45), CENTRES, HEIGHTS)
    return scores, np.zeros(scores.shape, np.int32)


def test_positions_are_refined_below_the_pixel(map_of_bumps):
    _, positions, _ = called(*map_of_bumps, 0.4, min_distance=5)
    # A parabola through three samples of a Gaussian of width 2 is off by at most 0.02.
    np.testing.assert_allclose(positions, CENTRES, atol=0.02)
    _, whole, _ = called(*map_of_bumps, 0.4, min_distance=5, subpixel=False)
    np.testing.assert_array_equal(whole, np.rint(CENTRES))


def test_scores_that_were_never_tested_do_not_bend_the_parabola(map_of_bumps):
    scores, rotations = map_of_bumps
    rotations[:, 13:] = -1  # beside the best peak
    _, positions, _ = called(scores, rotations, 0.85, min_distance=5)
    np.testing.assert_allclose(positions, [[10.3, 12.0]], atol=0.02)


def test_positions_that_were_never_tested_are_no_picks(map_of_bumps):
    scores, rotations = map_of_bumps
    rotations[:20] = -1
    peaks, _, (counts, _) = called(scores, rotations, 0.4, min_distance=5)
    np.testing.assert_array_equal(peaks.positions, [[26, 7], [30, 34]])
    assert counts.sum() == (scores[20:] >= 0).sum()


def test_boundary_top_and_distance(map_of_bumps):
    def found(**options):
        peaks, _, _ = called(*map_of_bumps, 0.4, **{"min_distance": 5, **options})
        return [tuple(position) for position in peaks.positions]

    rounded = [tuple(np.rint(centre).astype(int)) for centre in CENTRES]
    assert found() == rounded
    assert found(boundary=5) == [p for p in rounded if p[0] >= 5]
    assert found(boundary=10) == [p for p in rounded if p[0] >= 10 and p[1] >= 10 and p[0] < 30]
    assert found(top=2) == rounded[:2]
    assert found(min_distance=18) == [rounded[0], rounded[3]]


def test_nothing_above_the_threshold_is_no_pick(map_of_bumps):
    peaks, positions, (counts, edges) = called(*map_of_bumps, 0.99)
    assert len(peaks.scores) == 0
    assert positions.shape == (0, 2)
    assert counts.sum() == map_of_bumps[0].size
    assert edges[-1] == pytest.approx(0.99)


# Conventions and thresholds, end to end.


@pytest.fixture(scope="module")
def texture():
    rng = np.random.default_rng(8)
    return ndimage.gaussian_filter(rng.normal(size=(21, 24)), 1.2) * 4


@pytest.mark.parametrize("trim", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_an_angle_is_counter_clockwise_on_screen_and_a_position_is_the_centre(texture, trim):
    """Even and odd template shapes; the template is turned by SciPy about its centre, 30 degrees to the left."""
    template = texture[trim[0] :, trim[1] :]
    rng = np.random.default_rng(1)
    image = rng.normal(scale=0.2, size=(90, 110))
    plant(image, template, np.ones(template.shape), [[40.25, 61.5]], angle_to_matrix(np.array([30.0])))
    found = match(image, template, mask="disk", step=10, top=1, threshold=0.5, refine=False, render=False)
    (pick,) = found.picks.itertuples()
    assert pick.angle == pytest.approx(30)
    # The parabola is biased by up to 0.2 for so fine a texture; a wrong centre would be half a pixel off.
    np.testing.assert_allclose([pick.y, pick.x], [40.25, 61.5], atol=0.2)


def turned_by_scipy(texture, angle):
    """`ndimage.rotate` turns an image counter-clockwise on screen."""
    template = texture[:, :21]
    image = np.zeros((61, 61))
    image[20:41, 20:41] = template
    turned = ndimage.rotate(image, angle, reshape=False, order=3)
    return turned + np.random.default_rng(1).normal(scale=0.05, size=turned.shape), template


def test_scipy_agrees_on_counter_clockwise(texture):
    turned, template = turned_by_scipy(texture, 40)
    options = {"mask": "disk", "mask_radius": 10, "step": 10, "top": 1, "threshold": 0.5, "render": False}
    (pick,) = match(turned, template, refine=False, **options).picks.itertuples()
    assert (pick.angle, round(pick.y), round(pick.x)) == (pytest.approx(40), 30, 30)


@pytest.mark.parametrize("angle", [36.5, 44.0])
def test_rotations_are_refined_between_those_of_the_set(texture, angle):
    turned, template = turned_by_scipy(texture, angle)
    options = {"mask": "disk", "mask_radius": 10, "step": 10, "top": 1, "threshold": 0.5, "render": False}
    found = match(turned, template, **options)
    (pick,) = found.picks.itertuples()
    assert pick.rotation_id == 4
    assert abs(pick.angle - angle) < 0.5  # a tenth of what the set is off by, at most
    assert np.hypot(pick.y - 30, pick.x - 30) < 0.2
    (coarse,) = found.repick(refine=False, render=False).picks.itertuples()
    assert coarse.angle == pytest.approx(40)
    assert coarse.score == pick.score


def test_angles_in_space_are_those_of_relion():
    """The copy is made by SciPy from RELION's definition, x_particle = A x_reference in (x, y, z) order."""
    rng = np.random.default_rng(2)
    particle = chain_density(rng, 20)
    angles = (40.0, 65.0, -110.0)
    relion = Rotation.from_euler("ZYZ", angles, degrees=True).inv().as_matrix()
    turn = relion[::-1, ::-1]
    place, centre = np.array([18.0, 25.0, 20.0]), np.full(3, 9.5)
    # Voxel v of the volume shows reference voxel turn.T (v - place) + centre.
    volume = ndimage.affine_transform(
        particle, turn.T, offset=centre - turn.T @ place, output_shape=(40, 48, 44), order=3
    )
    volume += rng.normal(scale=0.02, size=volume.shape)
    others = Rotation.random(20, random_state=3).as_matrix()[:, ::-1, ::-1]
    rotations = np.concatenate([others, turn[None]])
    found = match(
        volume, particle, mask="sphere", rotations=rotations, top=1, threshold=0.5, refine=False, render=False
    )
    (pick,) = found.picks.itertuples()
    assert pick.rotation_id == 20
    found_matrix = Rotation.from_euler("ZYZ", [pick.rot, pick.tilt, pick.psi], degrees=True).inv().as_matrix()
    assert geodesic_angle(found_matrix, relion) < 1e-3
    np.testing.assert_allclose([pick.z, pick.y, pick.x], place, atol=0.2)


def test_the_automatic_threshold_admits_about_as_many_as_it_says():
    """Noise without any copy: 3 expected; 12 or more have a chance below 1e-4 (Poisson)."""
    rng = np.random.default_rng(3)
    image = rng.normal(size=(200, 210))
    template = rng.normal(size=(15, 15))
    found = match(image, template, mask="disk", step=30, false_positives=3, min_distance=1, render=False)
    assert len(found.picks) < 12
    record = found._run.store.read_commit(found._run.plan.pick_node(0, found._run.job.picks.digest).key)
    assert 400_000 < record.summary["tests"] < image.size * 12
    assert 0.25 < record.summary["threshold"] < 0.5
    none = found.repick(threshold="auto", false_positives=1e-6, render=False)
    assert len(none.picks) == 0
    assert list(none.picks.columns) == list(found.picks.columns)
