"""The job: its fingerprint changes with what decides the scores and with nothing else."""

import dataclasses
import json

import pytest

from scorefold.errors import InputError
from scorefold.planning.job import MatchJob, PickOptions, SearchOptions, Target, canonical_digest

TARGET = Target(
    "a.tif", (40, 50), "d" * 64, 12.5, 3.25, {"format": "tiff", "path": "/data/a.tif"}, (1.5, 1.5), "µm"
)
JOB = MatchJob(
    template="1" * 64,
    mask="2" * 64,
    rotations="3" * 64,
    template_shape=(9, 8),
    rotation_count=36,
    search=SearchOptions("FLC"),
    picks=PickOptions(),
    targets=(TARGET, dataclasses.replace(TARGET, name="b.tif", digest="e" * 64)),
    labels={"template": "t.png"},
)


def with_target(**changes):
    return dataclasses.replace(JOB, targets=(dataclasses.replace(TARGET, **changes), JOB.targets[1]))


def with_search(**changes):
    return dataclasses.replace(JOB, search=dataclasses.replace(JOB.search, **changes))


OTHER_SEARCHES = {
    "template": dataclasses.replace(JOB, template="9" * 64),
    "mask": dataclasses.replace(JOB, mask="9" * 64),
    "rotations": dataclasses.replace(JOB, rotations="9" * 64),
    "target mask": dataclasses.replace(JOB, target_mask="9" * 64),
    "score": with_search(score="MCC"),
    "order": with_search(order=1),
    "lowpass": with_search(lowpass=0.5),
    "precision": with_search(precision="double"),
    "fft": with_search(fft="fftw"),
    "pad edges": with_search(pad_edges=True),
    "score threshold": with_search(score_threshold=0.1),
    "engine": with_search(engine="compressed"),
    "tolerance": with_search(tolerance=0.2),
    "cell angle": with_search(cell_angle=20.0),
    "pixels of a target": with_target(digest="9" * 64),
    "shape of a target": with_target(shape=(50, 40)),
    "name of a target": with_target(name="c.tif"),
    "order of targets": dataclasses.replace(JOB, targets=JOB.targets[::-1]),
    "fewer targets": dataclasses.replace(JOB, targets=JOB.targets[:1]),
}

SAME_SEARCHES = {
    "labels": dataclasses.replace(JOB, labels={"template": "elsewhere/t.png"}),
    "picks": dataclasses.replace(JOB, picks=PickOptions(threshold=0.5, top=3)),
    "where a target lies": with_target(source={"format": "tiff", "path": "/moved/a.tif"}),
    "pixel size": with_target(pixel_size=None, pixel_unit=None),
}


def test_every_search_option_has_a_case():
    changed = {name.replace(" ", "_") for name in OTHER_SEARCHES}
    assert {field.name for field in dataclasses.fields(SearchOptions)} <= changed


def test_fingerprints_differ_if_anything_decides_the_scores():
    fingerprints = [JOB.fingerprint, *(job.fingerprint for job in OTHER_SEARCHES.values())]
    assert len(set(fingerprints)) == len(fingerprints)


@pytest.mark.parametrize("what", SAME_SEARCHES)
def test_the_fingerprint_does_not_depend_on(what):
    assert SAME_SEARCHES[what].fingerprint == JOB.fingerprint
    assert SAME_SEARCHES[what] != JOB


def test_the_fingerprint_stays_what_it_was():
    """A change of this value makes every stored run unreadable: it must be meant."""
    assert JOB.fingerprint == "7ca5b7cbd264dd2c1791bfce2d57db903bbf5819968fe758d4489d5718fd0e22"


def test_a_job_survives_json():
    text = json.dumps(JOB.to_json())
    targets = [Target.from_json(json.loads(json.dumps(target.to_json()))) for target in JOB.targets]
    again = MatchJob.from_json(json.loads(text), targets)
    assert again == JOB
    assert again.fingerprint == JOB.fingerprint
    assert "a.tif" not in text, "targets are stored apart"


def test_canonical_digests_depend_on_values_alone():
    assert canonical_digest({"b": [1, 2.5], "a": None}) == canonical_digest({"a": None, "b": (1, 2.5)})
    assert canonical_digest({"a": 1}) != canonical_digest({"a": 1.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_digest({"a": float("nan")})


def test_pick_options_name_themselves():
    assert PickOptions().digest == PickOptions(threshold="auto").digest
    digests = {
        options.digest
        for options in (
            PickOptions(),
            PickOptions(threshold=0.5),
            PickOptions(false_positives=2),
            PickOptions(min_distance=2),
            PickOptions(boundary=2),
            PickOptions(top=2),
            PickOptions(subpixel=False),
            PickOptions(refine=False),
        )
    }
    assert len(digests) == 8
    assert all(len(digest) == 8 for digest in digests)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": "high"}, 'threshold "high": give a number or auto'),
        ({"threshold": float("nan")}, "threshold nan: give a finite number"),
        ({"false_positives": 0}, "false positives 0: give a positive number"),
        ({"false_positives": float("inf")}, "false positives inf"),
        ({"min_distance": -1}, "minimum distance -1: .* 0 or more"),
        ({"boundary": -1}, "boundary -1: .* 0 or more"),
        ({"top": 0}, "top 0: .* 1 or more"),
    ],
)
def test_pick_options_out_of_range_are_refused_with_the_value(options, message):
    with pytest.raises(InputError, match=message):
        PickOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "half"}, 'precision "half": use single or double'),
        ({"score_threshold": float("inf")}, "score threshold inf: give a finite number"),
    ],
)
def test_search_options_out_of_range_are_refused_with_the_value(options, message):
    with pytest.raises(InputError, match=message):
        SearchOptions("FLC", **options)
