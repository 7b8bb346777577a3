"""Law: whatever happens to the files of a run, nothing damaged is returned as a result; it is named, or made again."""

from pathlib import Path

import numpy as np
import pytest

from scorefold import Match, open_run
from scorefold.cluster import drive
from scorefold.cluster import open_run as open_any
from scorefold.cluster.executor import SerialExecutor
from scorefold.errors import StoreError
from scorefold.store import verify
from scorefold.testing.faults import COMMITTED, corrupt_run

pytestmark = pytest.mark.timeout(300)

READ, REPAIRED, DISTURBED = 15, 5, 5
"""Corruptions of a round, by what comes after: everything is read, a run is repaired, or goes on with its work."""

rounds = pytest.mark.parametrize(
    "rounds",
    [
        range(1),
        pytest.param(range(1, 4), marks=pytest.mark.chaos),
        pytest.param(range(4, 20), marks=[pytest.mark.chaos, pytest.mark.long]),
    ],
    ids=len,
)
"""With two kinds of run, 1 000 corruptions in all."""

kinds = pytest.mark.parametrize("kind", ["match", "inspect"])


def contents(location):
    root = Path(location)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for part in (*COMMITTED, "checkpoints", "quarantine")
        for path in (root / part, *(root / part).rglob("*"))
        if path.is_file()
    }


def put_back(location, pristine):
    now = contents(location)
    for name in now.keys() - pristine.keys():
        (Path(location) / name).unlink()
    for name, data in pristine.items():
        if now.get(name) != data:
            (Path(location) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(location) / name).write_bytes(data)


def repair(location):
    run = open_any(location)
    for key, reason in verify(run.store).damaged.items():
        run.store.discard(key, reason)
    drive(run, SerialExecutor())


def everything_read(location):
    """Return what every way to read a result gives: bytes, or the error that names what is damaged."""
    found = open_run(location)
    ways = {name: lambda name=name: getattr(found, name).to_csv() for name in ("picks", "images", "defects")}
    if isinstance(found, Match):
        ways = {"picks": ways["picks"], "pick_rotations": lambda: found.pick_rotations}
        for target in found.scores:
            for name in ("scores", "rotations"):
                ways[f"{name} {target}"] = lambda name=name, target=target: getattr(found, name)[target][...]
            ways[f"picture {target}"] = lambda target=target: found.picture(target)
    else:
        ways.pop("picks")
        ways["metrics"] = lambda: found.metrics.to_csv()  # noqa: PLW0108 - read when it is called
        ways["picture"] = lambda: found.picture("worst")
        for name in ("a_part-1", "part-6", "a_part-0", "b_part-1"):
            ways[f"scores {name}"] = lambda name=name: found.scores(name)
            ways[f"mask {name}"] = lambda name=name: found.mask(name)
    results = {}
    for name, read in ways.items():
        try:
            value = read()
            results[name] = value.tobytes() if isinstance(value, np.ndarray) else value
        except (StoreError, KeyError) as error:
            results[name] = error
    return results


@pytest.fixture(scope="module")
def finished(run_at, new_inspection, model, data_set, tmp_path_factory):
    """A finished run of each kind, its files, and what is read of it."""
    folder = tmp_path_factory.mktemp("finished")
    runs = {
        "match": run_at(folder / "match", rotation_block=6, keep_states=True),
        "inspect": new_inspection(
            folder / "inspect",
            images=[data_set.root / "test" / "**" / "*.png"],
            model=model,
            masks=data_set.root / "masks",
            leaf_images=3,
        ),
    }
    known = {}
    for kind, run in runs.items():
        drive(run, SerialExecutor())
        location = run.store.location
        known[kind] = location, contents(location), everything_read(location)
    return known


@rounds
@kinds
def test_what_is_read_is_whole_or_an_error(finished, kind, rounds):
    location, pristine, expected = finished[kind]
    errors = 0
    for seed in range(rounds.start * READ, rounds.stop * READ):
        damage = corrupt_run(location, np.random.default_rng(seed))
        for name, value in everything_read(location).items():
            if isinstance(value, Exception):
                errors += 1
                named = ("scorefold verify --discard", "not finished", "worst-000", "array-000")
                assert any(text in str(value) for text in named), (damage, value)
                assert "\n" not in str(value)
            else:
                assert value == expected[name], (damage, name)
        put_back(location, pristine)
    assert errors > len(rounds)
    assert everything_read(location) == expected


@rounds
@kinds
def test_what_is_verified_is_named_and_made_again(finished, output_of, kind, rounds):
    location, pristine, _ = finished[kind]
    expected = output_of(location)
    for seed in rounds:
        rng = np.random.default_rng(1000 + seed)
        damages = [corrupt_run(location, rng) for _ in range(REPAIRED)]
        for _ in range(3):  # damage behind damage comes to light when the first is repaired
            repair(location)
        assert output_of(location) == expected, damages
        assert not verify(open_any(location).store).damaged
        put_back(location, pristine)


@rounds
@kinds
def test_what_is_damaged_while_a_run_goes_on_is_made_again(finished, output_of, kind, rounds):
    location, pristine, _ = finished[kind]
    expected = output_of(location)
    for seed in rounds:
        rng = np.random.default_rng(2000 + seed)
        put_back(location, {name: data for name, data in pristine.items() if name.startswith("states/")})
        damages = []

        def disturb(progress, rng=rng, damages=damages):
            if progress.last and len(damages) < DISTURBED and rng.random() < 0.2:
                damages.append(corrupt_run(location, rng, ["commits", "states", "results"]))

        drive(open_any(location), SerialExecutor(), on_progress=disturb)
        repair(location)
        assert output_of(location) == expected, damages
        put_back(location, pristine)
