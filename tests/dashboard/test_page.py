"""The page: in the navigation bar of every dashboard, with what runs tell, for each viewer what they pick."""

import urllib.error
import urllib.request
from html.parser import HTMLParser

import numpy as np
import pytest
from distributed import Client

from scorefold.cluster import drive
from scorefold.cluster.graph import DaskExecutor
from scorefold.cluster.local import connected, local_cluster, prepare
from scorefold.cluster.match.preview import preview
from scorefold.errors import StoreError
from scorefold.events import STOPPED, TOPIC, DriverEvent, LeafEvent

pytestmark = pytest.mark.filterwarnings("ignore::bokeh.util.warnings.BokehUserWarning")


def read(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


class Links(HTMLParser):
    """The links of a page."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found.append(dict(attrs).get("href"))


@pytest.fixture
def say(cluster):
    """Log events, as a run does."""

    def log(*events):
        for event in events:
            cluster.client.log_event(TOPIC, event.message())

    return log


@pytest.fixture
def open_page(cluster, view):
    """Open the page of the cluster."""
    return lambda: view(cluster.link)


def test_every_page_of_the_dashboard_leads_to_ours(cluster):
    for page in ("status", "workers", "scorefold"):
        links = Links(read(cluster.link.replace("status", page))).found
        assert links.count("scorefold") == 1


def test_a_second_client_finds_the_page_there(cluster):
    with Client(cluster.scheduler.address, set_as_default=False) as second:
        prepare(second)
    assert Links(read(cluster.link)).found.count("scorefold") == 1
    assert sum(name == "scorefold-live-runs" for name in cluster.scheduler.plugins) == 1


def test_a_page_without_runs_says_how_to_get_one(view):
    with local_cluster(1) as client:  # which has the page without being asked
        page = view(client.dashboard_link)
        assert "No run has told of itself yet" in page.texts()
        assert page.runs.data["run"] == []


def test_a_search_is_followed_to_its_end(cluster, open_page, new_run, monkeypatch):
    monkeypatch.setattr("scorefold.cluster.live.TELL_SECONDS", 0.0)
    run = new_run(rotation_block=5, batch_tiles=1)
    location = run.store.location
    leaves = run.plan.leaf_count
    page = open_page()

    def row():
        return page.runs.data["run"].index(location) if location in page.runs.data["run"] else None

    def column(name):
        return page.runs.data[name][row()]

    seen = []

    def look(progress):
        if progress.done["score_leaf"] == leaves // 2 and not seen:
            page.until(lambda: page.stages.get("score") == f"{leaves // 2:,} of {leaves:,}")
            page.until(lambda: page.picture is not None)
            seen.append((column("state"), column("fraction"), column("best"), column("rate")))

    drive(run, DaskExecutor(cluster.client), on_progress=look)
    ((state, fraction, best, rate),) = seen
    assert state == "working"
    assert 0 < fraction < 1
    assert rate > 0
    assert best > 0

    page.until(lambda: column("state") == "finished")
    assert column("fraction") == 1
    assert column("best") >= best
    assert column("left") == ""
    assert page.stages["draw"] == "4 of 4"
    names = [target.name for target in run.job.targets]
    assert list(page.targets.data["target"]) == names
    assert list(page.targets.data["state"]) == ["done"] * 4
    assert list(page.targets.data["searched"]) == [1.0] * 4
    assert (
        page.targets.data["target"][page.targets.selected.indices[0]]
        == names[np.argmax(page.targets.data["best"])]
    )
    assert page.picture.shape in ((30, 35), (25, 45))
    assert sum(page.source("left", "right", "count").data["count"]) == np.isfinite(page.picture).sum()
    assert "targets: 4 done" in page.texts()


@pytest.mark.system
def test_two_viewers_pick_for_themselves(say, open_page, cluster):
    rows = [("left", 1.0, "done"), ("right", 0.5, "searching")]
    for location in ("/first", "/second"):
        previews = [
            preview(name, np.full((5, 7), value), (0, 0), (5, 7))
            for value, (name, *_) in zip((3, 2), rows, strict=True)
        ]
        say(
            LeafEvent(location, previews=previews),
            DriverEvent(location, "one", "match", location, targets=rows),
        )
    one, two = open_page(), open_page()
    for page in (one, two):
        page.until(lambda page=page: "<b>/second</b>" in page.texts())
        assert page.runs.data["run"][page.runs.selected.indices[0]] == "/second"
        assert (page.picture == 3).all()

    one.pick(one.targets, 1)
    one.until(lambda: one.picture.max() == 2)
    assert "Best scores so far: right" in one.texts()
    two.pick(two.runs, list(two.runs.data["run"]).index("/first"))
    two.until(lambda: "<b>/first</b>" in two.texts())
    say(DriverEvent("/third", "one", "match", "new"))
    for page in (one, two):
        page.until(lambda page=page: "/third" in page.runs.data["run"])
    for page, run, target in ((one, "/second", "right"), (two, "/first", "left")):
        page.until(lambda page=page, run=run: f"<b>{run}</b>" in page.texts())
        assert [page.runs.data["run"][row] for row in page.runs.selected.indices] == [run]
        assert f"Best scores so far: {target}" in page.texts()


def test_what_users_wrote_is_shown_and_not_run(say, open_page):
    script = "<script>alert(1)</script>"
    say(
        DriverEvent(
            f"/{script}",
            "one",
            "match",
            script,
            STOPPED,
            targets=[(script, 1.0, script)],
            target_states={script: 1},
            reason=script,
        ),
        LeafEvent(f"/{script}", failures={script: script}),
    )
    page = open_page()
    page.until(lambda: "alert(1)" in page.texts())
    assert "<script" not in page.texts()
    assert page.texts().count("&lt;script&gt;") == 4


def test_failures_are_listed(say, open_page):
    say(DriverEvent("/failing", "one", "match"), LeafEvent("/failing", failures={"a.png": "truncated"}))
    page = open_page()
    failures = page.until(lambda: page.source("input", "reason") if "/failing" in page.texts() else None)
    assert (failures.data["input"], failures.data["reason"]) == (["a.png"], ["truncated"])
    assert page.runs.data["failures"][page.runs.data["run"].index("/failing")] == 1


def test_a_run_that_stops_says_why(cluster, open_page, new_run, monkeypatch):
    def broken(*_):
        raise ValueError("odd pixels")

    monkeypatch.setattr("scorefold.cluster.match.run.MatchRun.pixels", broken)
    monkeypatch.setattr("scorefold.cluster.graph.RETRIES", 0)
    with pytest.raises(StoreError, match="odd pixels"):
        drive(new_run(rotation_block=12), DaskExecutor(cluster.client))
    page = open_page()
    page.until(lambda: "odd pixels" in page.texts())
    assert page.runs.data["state"][page.runs.selected.indices[0]] == "stopped"


def test_an_inspection_shows_verdicts_and_the_worst_images(
    cluster, open_page, data_set, model, new_inspection, tmp_path
):
    images = [data_set.root / name for name in ("test/a", "odd")]
    drive(
        new_inspection(tmp_path / "run", leaf_images=4, images=images, model=model),
        DaskExecutor(cluster.client),
    )
    page = open_page()
    verdicts = page.until(
        lambda: page.source("verdict", "count", "text", "colour") if page.stages.get("measure") else None
    )
    assert dict(zip(verdicts.data["verdict"], verdicts.data["count"], strict=True)) == {
        "OK": 5, "NG": 2, "NOT_FOUND": 0, "ERROR": 2,
    }  # fmt: skip
    worst = page.source("image", "score").data
    assert set(worst["image"][:2]) == {"part-1", "part-3"}
    assert worst["score"] == sorted(worst["score"], reverse=True)
    assert "Scores of the 7 images heard of last" in page.texts()
    # Two stages are called alike: their bars would hide each other.
    assert len(page.stages) == len(set(page.stages))
    assert page.stages["merge"].split(" of ")[0] == page.stages["merge"].split(" of ")[1]


@pytest.mark.system
@pytest.mark.parametrize(
    "options", [(), ("--preload", "scorefold.dashboard")], ids=["brought along", "preloaded"]
)
def test_a_scheduler_of_others_gets_the_page(start_scheduler, view, options):
    address = start_scheduler(dashboard=("--dashboard-prefix", "proxy", *options), workers=0)
    with Client(address, set_as_default=False) as bare:
        link = f"http://127.0.0.1:{bare.scheduler_info()['services']['dashboard']}/proxy/status"
        assert ("scorefold" in Links(read(link)).found) == bool(options)
    with connected(address) as client:
        assert Links(read(link)).found.count("scorefold") == 1
        client.log_event(TOPIC, DriverEvent("/there", "one", "train", "a model").message())
        page = view(link)
        page.until(lambda: "a model" in page.texts())


def test_a_scheduler_without_dashboard_gets_none(start_scheduler):
    with connected(start_scheduler()) as client:
        services = client.scheduler_info()["services"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            read(f"http://127.0.0.1:{services['dashboard']}/scorefold")
        client.log_event(TOPIC, DriverEvent("/there", "one", "train", "a model").message())
        assert client.sync(client.scheduler.identity)["type"] == "Scheduler"
