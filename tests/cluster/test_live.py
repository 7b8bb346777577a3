"""What runs tell of themselves: previews, how far targets are, and every event of a whole run on a cluster."""

import itertools
import math
import random
import threading
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import SchedulerPlugin
from hypothesis import given
from hypothesis import strategies as st
from msgpack import dumps

from scorefold.cluster import Progress, create_training, drive
from scorefold.cluster.executor import Outcome, SerialExecutor
from scorefold.cluster.graph import DaskExecutor
from scorefold.cluster.live import TELL_SECONDS, LiveDriver, live_driver
from scorefold.cluster.match import search_tasks, target_states
from scorefold.cluster.match.preview import preview
from scorefold.cluster.match.target_states import TargetStates
from scorefold.dashboard.runs import Runs
from scorefold.events import FINISHED, PREVIEW_CELLS, STOPPED, TOPIC, WORKING, LeafEvent
from scorefold.planning.inspect_request import TrainRequest
from scorefold.planning.node import STAGES
from scorefold.planning.prepare_inspect import prepare_train
from scorefold.store import ResultMaps


def cells_of(shown):
    return np.frombuffer(shown.cells, "<f4").reshape(shown.shape)


def pooled(scores, start, shape):
    """Return grid, first cell and cells of a preview, position by position."""
    factor = math.ceil(max(shape[-2:]) / PREVIEW_CELLS)
    best = {}
    for index, score in np.ndenumerate(scores):
        cell = tuple((s + i) // factor for s, i in zip(start[-2:], index[-2:], strict=True))
        best[cell] = max(best.get(cell, -math.inf), np.float32(score))
    first, last = min(best), max(best)
    cells = [
        [best[row, column] for column in range(first[1], last[1] + 1)] for row in range(first[0], last[0] + 1)
    ]
    return tuple(math.ceil(n / factor) for n in shape[-2:]), first, np.array(cells)


@st.composite
def tiles(draw):
    shape = draw(st.lists(st.integers(1, 150), min_size=2, max_size=2))
    shape = [*draw(st.sampled_from([[], [3]])), *shape]
    start = [draw(st.integers(0, n - 1)) for n in shape]
    size = [draw(st.integers(1, min(40, n - s))) for n, s in zip(shape, start, strict=True)]
    return tuple(shape), tuple(start), tuple(size), draw(st.integers(0, 9))


@given(tiles())
def test_a_preview_holds_the_best_score_of_every_cell(tile):
    shape, start, size, seed = tile
    scores = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    shown = preview("a", scores, start, shape)
    grid, first, cells = pooled(scores, start, shape)
    assert (shown.grid, shown.start, shown.shape) == (grid, first, cells.shape)
    np.testing.assert_array_equal(cells_of(shown), cells)
    assert shown.best == scores.max()
    assert max(grid) <= PREVIEW_CELLS


@given(st.integers(1, 200), st.integers(1, 150), st.integers(7, 90), st.integers(7, 90), st.randoms())
def test_previews_of_any_tiling_in_any_order_make_that_of_the_whole(height, width, rows, columns, order):
    scores = np.random.default_rng(height).normal(size=(height, width)).astype(np.float32)
    whole = preview("a", scores, (0, 0), scores.shape)
    starts = list(itertools.product(range(0, height, rows), range(0, width, columns)))
    order.shuffle(starts)
    runs = Runs()
    for i, j in starts:
        part = preview("a", scores[i : i + rows, j : j + columns], (i, j), scores.shape)
        runs.hear(LeafEvent("run", previews=[part]).message())
    target = runs.get("run").targets["a"]
    np.testing.assert_array_equal(target.cells, cells_of(whole))
    assert target.best == whole.best


def recounted(run, done, *, render=True):
    """Return the state and searched fraction of every target, from the definition."""
    options, plan = run.job.picks.digest, run.plan
    told = {}
    for index, target in enumerate(run.job.targets):
        batches = plan.batches_of(index)
        leaves = [node for b in batches for node in plan.search_nodes(b) if node.stage == "score_leaf"]
        searched = sum(node.key in done for node in leaves) / len(leaves)
        written = all(plan.write_node(b).key in done for b in batches)
        picked = plan.pick_node(index, options).key in done
        drawn = not render or plan.render_node(index, options).key in done
        state = "waiting" if searched == 0 else "searching"
        state = "done" if picked and drawn else "picked" if picked else "searched" if written else state
        told[target.name] = (pytest.approx(searched, abs=1e-4), state)
    return told


@pytest.mark.parametrize("render", [True, False])
@pytest.mark.parametrize("batch_tiles", [1, 3])
def test_states_of_targets_are_those_of_a_recount_after_every_piece_of_work(new_run, render, batch_tiles):
    run = new_run(rotation_block=7, batch_tiles=batch_tiles, cell=(32, 32))
    nodes = list(run.missing(set(), render=render))
    for seed in range(3):
        generator = random.Random(seed)
        done = (
            {node.key for node in generator.sample(nodes, generator.randrange(len(nodes)))} if seed else set()
        )
        states = TargetStates(run)
        left = [node for node in nodes if node.key not in done]
        for node in left:
            states.due(node)
        generator.shuffle(left)
        for node in left:
            expected = recounted(run, done, render=render)
            assert {name: told for name, *told in states.told()} == {n: list(v) for n, v in expected.items()}
            assert states.count() == Counter(state for _, state in expected.values())
            states.ended(node)
            done.add(node.key)
        assert states.count() == {"done": 4}


def test_targets_told_of_are_those_that_changed_last_in_the_order_of_the_job(new_run, monkeypatch):
    monkeypatch.setattr(target_states, "TOLD_TARGETS", 2)
    run = new_run(batch_tiles=1)
    states = TargetStates(run)
    nodes = list(run.missing(set(), render=True))
    for node in nodes:
        states.due(node)
    names = [target.name for target in run.job.targets]
    assert [name for name, *_ in states.told()] == names[:2]
    for target in (3, 0):
        states.ended(
            next(
                node
                for node in nodes
                if node.stage == "score_leaf" and run.plan.targets_of(node.batch) == [target]
            )
        )
    assert [name for name, *_ in states.told()] == [names[0], names[3]]
    states.begin()  # another wave
    assert [name for name, *_ in states.told()] == [names[0], names[3]]


class Recorder:
    """Is told messages."""

    def __init__(self):
        self.messages = []

    def tell(self, message, *, last=False):
        self.messages.append((message, last))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


SOME_RUN = SimpleNamespace(kind="train", title="a model", store=SimpleNamespace(location="/run"))


@given(st.lists(st.floats(0, 3), max_size=40))
def test_a_driver_tells_at_most_once_a_second_and_always_how_it_ends(pauses):
    clock, recorder = Clock(), Recorder()
    live = LiveDriver(SOME_RUN, recorder, clock)
    times = []
    for index, pause in enumerate(pauses):
        clock.now += pause
        before = len(recorder.messages)
        live.update(Progress({"learn": index}, {"learn": 99}))
        times += [clock.now] * (len(recorder.messages) - before)
    assert all(later - earlier >= TELL_SECONDS for earlier, later in itertools.pairwise(times))
    assert all(message["state"] == WORKING and not last for message, last in recorder.messages)
    told = len(recorder.messages)
    assert told >= min(1, len(pauses))
    live.end(FINISHED)
    assert len(recorder.messages) == told + bool(pauses)
    if pauses:
        message, last = recorder.messages[-1]
        assert last
        assert (message["state"], message["done"]) == (FINISHED, {"learn": len(pauses) - 1})
        assert len({message["driver"] for message, _ in recorder.messages}) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("disk\nis full"), "disk is full"),
        (KeyboardInterrupt(), "interrupted"),
        (ValueError(), "ValueError"),
        (OSError("https://host/bucket?sig=secret: gone"), "gone"),
    ],
)
def test_why_a_driver_stops_is_told_without_secrets(error, reason):
    recorder = Recorder()

    def fail():
        with live_driver(SOME_RUN, recorder) as live:
            live.update(Progress({}, {}))
            raise error

    with pytest.raises(type(error)):
        fail()
    message, last = recorder.messages[-1]
    assert last
    assert message["state"] == STOPPED
    assert message["reason"].endswith(reason)
    assert "secret" not in message["reason"]


def test_a_driver_that_waits_for_work_goes_on_telling(new_run, monkeypatch):
    monkeypatch.setattr("scorefold.cluster.live.TELL_SECONDS", 0.0)

    class Waiting(SerialExecutor, Recorder):
        def __init__(self):
            Recorder.__init__(self)
            self.waits = 0

        tell = Recorder.tell

        def run(self, run, wave):
            for node, outcome in zip(wave, super().run(run, wave), strict=True):
                told = len(self.messages)
                yield None
                assert len(self.messages) == told + 1
                self.waits += 1
                assert isinstance(outcome, Outcome), node
                yield outcome

    executor = Waiting()
    drive(new_run(rotation_block=12), executor, render=False)
    assert executor.waits > 10


@pytest.fixture(scope="module")
def cluster():
    """A client of workers in this process, and all events that reach their scheduler."""

    class Listening(SchedulerPlugin):
        name = "listening"

        def __init__(self):
            self.messages = []

        def log_event(self, topic, msg):
            if topic == TOPIC:
                self.messages.append(msg)

    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        plugin = Listening()
        local.scheduler.add_plugin(plugin)
        yield SimpleNamespace(client=client, plugin=plugin, scheduler=local.scheduler)


@pytest.fixture
def heard(cluster):
    """Drive a run on the cluster; return what its driver and its workers told, and what a dashboard makes of it."""

    def drive_and_listen(run, **options):
        cluster.plugin.messages.clear()
        drive(run, DaskExecutor(cluster.client), **options)
        messages = list(cluster.plugin.messages)
        runs = Runs()
        for message in messages:
            runs.hear(message)
        assert runs.version == len(messages), "an event is not as it should be"
        (view,) = runs.views()
        assert view.location == run.store.location
        by_kind = [[m for m in messages if m["what"] == what] for what in ("driver", "leaf")]
        last = by_kind[0][-1]
        assert (last["state"], last["kind"]) == (FINISHED, run.kind)
        assert last["done"] == last["total"]
        assert list(last["total"]) == list(STAGES[run.kind])
        return *by_kind, view

    return drive_and_listen


def test_a_search_tells_all_its_rotations_and_the_best_scores(new_run, heard, targets):
    run = new_run(rotation_block=5, batch_tiles=3, cell=(32, 32))
    driver, leaves, view = heard(run)
    assert len(leaves) == run.plan.leaf_count
    assert view.rotations == pytest.approx(4 * run.plan.rotation_count)
    assert driver[-1]["target_states"] == {"done": 4}
    assert [tuple(told) for told in driver[-1]["targets"]] == [(t.name, 1.0, "done") for t in run.job.targets]
    for target in run.job.targets:
        assert view.targets[target.name].best == ResultMaps(run.store, target.name).level("scores")[:].max()
    assert 0.9 < view.best <= 1.001
    assert set(view.targets) == {target.name for target in run.job.targets}


def test_a_leaf_of_many_tiles_tells_of_some(new_run, heard, monkeypatch):
    monkeypatch.setattr(search_tasks, "TOLD_TILES", 1)
    _, leaves, view = heard(new_run(batch_tiles=4), render=False)
    assert all(len(leaf["previews"]) == 1 for leaf in leaves)
    assert len(view.targets) < 4


def test_an_inspection_tells_verdicts_worst_images_and_failures(
    data_set, model, new_inspection, heard, tmp_path
):
    run = new_inspection(
        tmp_path / "run",
        leaf_images=4,
        images=[data_set.root / name for name in ("test/a", "test/b", "odd")],
        model=model,
    )
    _, _, view = heard(run)
    images = pd.read_parquet(tmp_path / "run/tables/images.parquet")
    assert view.verdicts == Counter(images["verdict"])
    assert set(view.failures) == set(images["name"][images["verdict"] == "ERROR"])
    assert len(view.failures) == 2
    assert sorted(view.scores) == pytest.approx(sorted(images["score"].dropna()), rel=1e-3)
    assert {name for name, _ in view.worst[:3]} == {"a_part-1", "a_part-3", "b_part-1"}


def test_a_training_tells_its_stages(data_set, heard, tmp_path):
    run = create_training(str(tmp_path / "run"), prepare_train(TrainRequest(images=[data_set.root / "good"])))
    driver, leaves, _ = heard(run)
    assert leaves == []
    assert driver[-1]["title"]


def test_targets_that_cannot_be_read_are_told_of(new_run, heard, tmp_path, monkeypatch):
    from scorefold.cluster.match.run import MatchRun

    run = new_run(batch_tiles=1)
    bad = run.job.targets[1].name
    pixels = MatchRun.pixels

    def broken(self, target, tile):
        if target.name == bad:
            raise OSError("no such disk")
        return pixels(self, target, tile)

    monkeypatch.setattr(MatchRun, "pixels", broken)
    *_, view = heard(run)
    assert view.failures == {bad: "no such disk"}
    assert set(view.targets) == {target.name for target in run.job.targets} - {bad}


def test_a_run_without_dask_tells_nobody(new_run, cluster, monkeypatch):
    def never(*_):
        raise AssertionError("a preview is made")

    monkeypatch.setattr(search_tasks, "preview", never)
    cluster.plugin.messages.clear()
    drive(new_run(rotation_block=12), SerialExecutor(), render=False)
    cluster.client.sync(cluster.client.scheduler.identity)
    assert cluster.plugin.messages == []


def test_a_scheduler_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("scorefold.cluster.graph.CANCEL_SECONDS", 0.01)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as local,
        Client(local, set_as_default=False) as client,
    ):
        answered = threading.Event()
        asked = []

        async def hang(topic=None, msg=None):
            import asyncio

            asked.append(msg)
            while not answered.is_set():
                await asyncio.sleep(0.01)

        local.scheduler.handlers["log_event"] = hang
        executor = DaskExecutor(client)
        for number in range(5):
            executor.tell({"number": number})
        client.sync(client.scheduler.identity)
        executor.tell({"number": "last"}, last=True)
        client.sync(client.scheduler.identity)
        answered.set()
        assert [message["number"] for message in asked] == [0, "last"]


def test_names_that_are_no_text_travel():
    event = LeafEvent(
        "/runs/caf\udce9", "score_leaf", failures={"b\udce9": "no \udce9"}, worst=[("c\udce9", 1.0)]
    )
    message = event.message()
    assert dumps(message)
    assert message["run"] == "/runs/caf\\udce9"
    assert message["failures"] == {"b\\udce9": "no \\udce9"}
