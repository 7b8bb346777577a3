"""From a request to a job: defaults, arrays and files, and refusals that say what to change."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from scorefold.errors import InputError
from scorefold.planning import prepare
from scorefold.planning.calibration import Calibration
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest
from scorefold.rotations import plane_rotations
from scorefold.scoring.lowpass import automatic_cutoff
from scorefold.store.commit import digest

RNG = np.random.default_rng(0)
TARGET = RNG.normal(size=(40, 50)).astype(np.float32)
TEMPLATE = RNG.normal(size=(7, 9))


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch):
    """Give every machine the same speed."""
    make_plan = prepare.make_plan
    monkeypatch.setattr(
        prepare,
        "make_plan",
        lambda *args, **kw: make_plan(*args, **kw, calibration=lambda _: Calibration(0, 1)),
    )


def prepared(**options):
    return prepare_match(
        MatchRequest(**{"targets": [TARGET], "template": TEMPLATE, "fft": "scipy", **options})
    )


def test_arrays_become_a_job_whose_digests_are_those_of_what_is_stored():
    match = prepared()
    job = match.job
    assert job.template == digest(match.arrays["template"])
    assert job.mask == digest(match.arrays["mask"])
    assert job.rotations == digest(match.arrays["rotations"])
    assert job.rotation_count == len(match.arrays["rotations"])
    (target,) = job.targets
    assert (target.name, target.shape) == ("array-0000", TARGET.shape)
    assert target.mean == pytest.approx(TARGET.mean(dtype=float))
    assert target.source["format"] == "stored"
    np.testing.assert_array_equal(match.given[target.source["path"]], TARGET)
    assert not match.unreadable


def test_one_request_has_one_fingerprint_whatever_the_machine():
    first = prepared()
    assert prepared().job == first.job
    other = prepared(workers=5, memory_limit=2**30)
    assert other.job.fingerprint == first.job.fingerprint
    assert prepared(template=TEMPLATE + 1e-9).job.fingerprint != first.job.fingerprint


def test_auto_score_and_step_follow_the_mask():
    assert prepared().job.search.score == "FLC"
    assert prepared(mask="disk").job.search.score == "FLCSphericalMask"
    # The rim moves by two voxels: 2 degrees(2/radius), rounded to half degrees.
    for radius in (2.0, 3.0):
        match = prepared(mask="disk", mask_radius=radius)
        angle = np.degrees(2 / radius)
        assert match.job.rotation_count == 360 / min(15.0, np.rint(2 * angle) / 2)


def test_minimum_distance_defaults_to_half_the_smallest_extent_of_the_mask():
    assert prepared().job.picks.min_distance == 3.5
    assert prepared(mask="box", mask_radius=(1.0, 4.0)).job.picks.min_distance == 1.5
    assert prepared(min_distance=0).job.picks.min_distance == 0


@pytest.mark.parametrize(("given", "expected"), [("auto", "auto"), ("0.25", 0.25), (0.5, 0.5)])
def test_thresholds_are_read_from_text(given, expected):
    assert prepared(threshold=given).job.picks.threshold == expected


def test_files_and_arrays_are_searched_together(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", TARGET)
    match = prepared(targets=[tmp_path / "a.tif", TARGET * 2])
    assert len(match.job.targets) == 2
    assert match.job.targets[0].digest != match.job.targets[1].digest
    assert len(match.given) == 1


def test_targets_that_cannot_be_searched_are_set_aside_with_the_reason():
    match = prepared(targets=[TARGET, np.zeros((30, 30)), np.full((30, 30), np.nan), TARGET[:4, :4]])
    assert [target.name for target in match.job.targets] == ["array-0000"]
    assert "all pixels are equal" in match.unreadable["array-0001"]
    assert "NaN or infinite" in match.unreadable["array-0002"]
    assert "smaller than the template" in match.unreadable["array-0003"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": []}, "targets: none given"),
        ({"targets": [np.zeros((30, 30)), np.zeros((9, 9))]}, r'target "array-0000": .*1 more target'),
        ({"targets": [np.zeros(30)]}, r"target array-0000: shape \(30,\)"),
        ({"targets": [TARGET + 1j]}, "target array-0000: dtype complex"),
        ({"template": np.zeros(5)}, r"template: shape \(5,\)"),
        ({"template": np.zeros((1, 5))}, "at least 2 voxels"),
        ({"template": np.ones((5, 5))}, "constant under its mask"),
        ({"mask": "circle"}, 'mask "circle": no such shape and no such file'),
        ({"mask": np.ones((3, 3))}, r"shape \(3, 3\) differs"),
        ({"mask": np.ones((7, 9)), "mask_edge": 1.0}, "they belong to drawn masks"),
        ({"score": "FLCSphericalMask"}, "score FLCSphericalMask: the mask changes"),
        ({"score": "SSD"}, 'score "SSD": unknown. Use one of'),
        ({"threshold": "high"}, 'threshold "high"'),
        ({"fft": "cuda"}, 'FFT provider "cuda": unknown'),
        ({"interpolation": 2}, "interpolation order 2"),
        ({"lowpass": "much"}, 'lowpass "much": give a part of the Nyquist frequency'),
        ({"lowpass": 1}, "lowpass 1: give a part of the Nyquist frequency"),
        ({"lowpass": "0"}, "lowpass 0: give a part of the Nyquist frequency"),
        ({"lowpass": float("nan")}, "lowpass nan: give a part of the Nyquist frequency"),
        ({"lowpass": 0.01}, "lowpass 0.01: nothing is left of the template"),
        ({"precision": "half"}, 'precision "half"'),
        ({"rotations": plane_rotations(90), "step": 5.0}, "rotations and step: give one of them"),
        ({"target_mask": np.ones(TARGET.shape)}, "target mask: score FLC does not use one. Use --score MCC"),
        ({"target_mask": np.ones((4, 4)), "score": "MCC"}, r"target mask: shape \(4, 4\) differs"),
        ({"target_mask": np.zeros(TARGET.shape), "score": "MCC"}, '"target mask": zero everywhere'),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(options, message):
    with pytest.raises(InputError, match=message) as caught:
        prepared(**options)
    assert "\n" not in str(caught.value)


def test_a_target_mask_is_part_of_the_job_with_mcc():
    mask = (np.arange(TARGET.size).reshape(TARGET.shape) % 3 > 0).astype(np.uint8)
    match = prepared(score="MCC", target_mask=mask)
    assert match.job.target_mask == digest(match.arrays["target_mask"])
    assert match.job.fingerprint != prepared(score="MCC").job.fingerprint


def test_the_low_pass_is_part_of_the_search_and_the_template_is_stored_as_given():
    match = prepared(lowpass="0.5")
    assert match.job.search.lowpass == 0.5
    assert match.job.search.description == "FLC, template low-passed at 0.5 of Nyquist"
    np.testing.assert_array_equal(match.arrays["template"], TEMPLATE)
    assert match.job.fingerprint != prepared().job.fingerprint
    assert match.job.fingerprint == prepared(lowpass=0.5).job.fingerprint


def test_an_automatic_low_pass_becomes_a_number_or_none():
    smooth = ndimage.gaussian_filter(RNG.normal(size=(30, 30)), 2, mode="mirror")
    cutoff = prepared(template=smooth, lowpass="auto").job.search.lowpass
    assert cutoff == automatic_cutoff(smooth, np.ones_like(smooth))
    assert 0 < cutoff < 1
    assert prepared(lowpass="auto").job.search.lowpass is None
    # LCC searches for the Laplacian, in which fine detail counts more.
    assert prepared(template=smooth, lowpass="auto", score="LCC").job.search.lowpass > cutoff


def test_labels_say_what_the_user_named():
    assert prepared(step=30.0).job.labels == {
        "template": "array",
        "mask": "none",
        "rotations": "12 angles from 0 to 360 degrees",
    }
