"""Damaged and missing bytes are found, recomputed, and leave no trace in the results."""

import json
from collections import Counter
from pathlib import Path

import pytest
from distributed import Client

from scorefold.cli.application import application
from scorefold.cluster import change_picks, drive, open_match
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.graph import DaskExecutor
from scorefold.errors import StoreError
from scorefold.planning.job import PickOptions
from scorefold.store import collect_garbage, verify

pytestmark = pytest.mark.timeout(60)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def chunks(location: str, below: str) -> list[Path]:
    return sorted(path for path in (Path(location) / below).rglob("c/**/*") if path.is_file())


DAMAGES = {
    "a bit of a chunk flips": lambda location, key: flip(chunks(location, f"states/{key}")[0]),
    "a chunk is truncated": lambda location, key: truncate(chunks(location, f"states/{key}")[0]),
    "a chunk is lost": lambda location, key: chunks(location, f"states/{key}")[0].unlink(),
    "the array's metadata is lost": lambda location, key: (
        chunks(location, f"states/{key}")[0].parents[1] / "zarr.json"
    ).unlink(),
    "the record is truncated": lambda location, key: truncate(Path(location) / f"commits/{key}.json"),
    "a bit of the record flips": lambda location, key: flip(Path(location) / f"commits/{key}.json"),
    "the record is lost": lambda location, key: (Path(location) / f"commits/{key}.json").unlink(),
}


class Saboteur:
    """Counts what ends, and does damage once, after the first piece of work of a stage."""

    def __init__(self, location, stage, damage):
        self.location, self.stage, self.damage = location, stage, damage
        self.key = None
        self.ended = Counter()

    def __call__(self, progress):
        assert all(progress.done[stage] <= total for stage, total in progress.total.items())
        if progress.last is None:
            return
        node = progress.last.node
        self.ended[node.key] += progress.last.error is None
        if node.stage == self.stage and self.key is None:
            self.key = node.key
            self.damage(self.location, node.key)

    def repeated(self):
        return {key for key, count in self.ended.items() if count > 1}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("stage", ["score_leaf", "merge"])
def test_a_damaged_partial_is_computed_again(new_run, output_of, serial_output, stage, name):
    run = new_run(rotation_block=8)
    saboteur = Saboteur(run.store.location, stage, DAMAGES[name])
    drive(run, SerialExecutor(), render=False, on_progress=saboteur)
    assert saboteur.repeated() == {saboteur.key}
    assert output_of(run.store.location) == serial_output()
    assert not verify(run.store).damaged


def test_a_damaged_record_is_kept_for_inspection(new_run):
    run = new_run(rotation_block=8)
    saboteur = Saboteur(run.store.location, "score_leaf", DAMAGES["a bit of a chunk flips"])
    drive(run, SerialExecutor(), render=False, on_progress=saboteur)
    (note,) = (Path(run.store.location) / "quarantine").iterdir()
    assert json.loads(note.read_text())["key"] == saboteur.key


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
@pytest.mark.parametrize("name", ["scores", "rotations"])
def test_a_damaged_tile_of_a_map_is_written_again_from_its_partial(
    new_run, output_of, serial_output, damage, name
):
    def spoil(location, _):
        damage(next(path for path in chunks(location, "results") if f"/{name}/0/" in str(path)))

    run = new_run(rotation_block=8)
    saboteur = Saboteur(run.store.location, "write_result", spoil)
    drive(run, SerialExecutor(), render=False, on_progress=saboteur)
    assert saboteur.repeated() == {saboteur.key}
    assert output_of(run.store.location) == serial_output()


def test_one_damaged_record_that_many_tasks_need_is_one_failure(new_run, output_of, serial_output):
    """Three targets in one batch read the record of its maps."""
    run = new_run(rotation_block=8, batch_tiles=3)

    def spoil(location, key):
        truncate(Path(location) / f"commits/{key}.json")

    saboteur = Saboteur(run.store.location, "write_result", spoil)
    drive(run, SerialExecutor(), render=False, on_progress=saboteur)
    assert saboteur.repeated() == {saboteur.key}
    assert output_of(run.store.location) == serial_output()


def test_a_map_damaged_after_garbage_was_collected_is_searched_again(
    new_run, output_of, serial_output, stages_ended
):
    run = new_run(rotation_block=8)
    drive(run, SerialExecutor(), render=False)
    collect_garbage(run.store, run.needed())
    assert not [key for key in run.store.committed() if key.startswith(("score_leaf", "merge"))]
    flip(chunks(run.store.location, "results/array-0000/scores")[0])
    assert list(verify(run.store).damaged) == ["write_result-b0000000"]

    asked = PickOptions(**{**vars(run.job.picks), "top": 7})
    changed = change_picks(run, asked)
    ended = stages_ended(changed)
    assert ended["score_leaf"] == 3
    assert ended["write_result"] == 1
    assert not verify(run.store).damaged
    maps = {name: data for name, data in serial_output().items() if name.startswith("results")}
    again = {n: d for n, d in output_of(run.store.location).items() if n.startswith("results")}
    assert again == maps


def test_damaged_picks_are_called_again(new_run, output_of, serial_output):
    run = new_run(rotation_block=8)
    saboteur = Saboteur(
        run.store.location, "call_picks", lambda at, key: truncate(Path(at) / f"commits/{key}.json")
    )
    drive(run, SerialExecutor(), render=False, on_progress=saboteur)
    assert saboteur.repeated() == {saboteur.key}
    assert output_of(run.store.location) == serial_output()


def test_what_damages_itself_every_time_ends_the_run(new_run):
    run = new_run(rotation_block=8)

    def spoil_always(progress):
        if progress.last and progress.last.node.stage == "score_leaf" and not progress.last.error:
            for path in chunks(run.store.location, f"states/{progress.last.node.key}"):
                flip(path)

    with pytest.raises(StoreError, match=r"failed 3 times.*scorefold resume"):
        drive(run, SerialExecutor(), render=False, on_progress=spoil_always)
    drive(open_match(run.store.location), SerialExecutor(), render=False)


def test_damage_is_repaired_on_a_cluster(new_run, output_of, serial_output):
    """A repair has the name of the work before; Dask must not answer with its old success."""
    run = new_run(rotation_block=8)
    saboteur = Saboteur(run.store.location, "write_result", DAMAGES["the record is lost"])
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0
    ) as client:
        drive(run, DaskExecutor(client), render=False, on_progress=saboteur)
    assert saboteur.key in run.store.committed()
    assert output_of(run.store.location) == serial_output()


def test_a_target_that_lost_a_part_in_the_store_is_not_searched_and_named(new_run, capsys):
    """A chunk that is not there reads as zeros."""
    run = new_run(rotation_block=8)
    lost = next((Path(run.store.location) / "targets" / "0000001" / "c").rglob("0"))
    while lost.is_dir():
        lost = next(lost.iterdir())
    lost.unlink()
    drive(run, SerialExecutor(), render=False)
    assert list(run.failures()) == ["array-0001"]
    assert "its pixels changed after the run was planned" in run.failures()["array-0001"]

    assert application(["verify", run.store.location], standalone_mode=False) == 1
    said = capsys.readouterr()
    assert "all agree with their bytes" in said.out
    assert said.err.startswith("lost  targets/0000001: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("name", ["template", "mask", "rotations"])
def test_what_a_run_was_given_and_lost_is_named(new_run, name):
    run = new_run(rotation_block=8)
    assert run.damaged_inputs() == {}
    flip(chunks(run.store.location, name)[0])
    assert list(open_match(run.store.location).damaged_inputs()) == [name]
