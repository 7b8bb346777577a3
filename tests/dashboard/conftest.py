"""Schedulers with a dashboard, and what looks at its page."""

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from bokeh.client import pull_session
from bokeh.models import ColumnDataSource, Div, Title
from distributed import Client, LocalCluster

from scorefold.cluster.local import prepare

DEADLINE_SECONDS = 60.0


class Viewer:
    """One session of the page, as a browser has it, without the drawing."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.session = pull_session(url=url)
        self.document = self.session.document

    def look(self) -> None:
        """See what is shown now; the session itself may miss changes while it waits for an answer."""
        second = pull_session(session_id=self.session.id, url=self._url)
        self.document = second.document
        second.close()

    def source(self, *names: str) -> Any:
        """Return the data source that has columns of these names, and no others."""
        sources = self.document.select({"type": ColumnDataSource})
        return next(source for source in sources if set(source.data) == set(names))

    @property
    def runs(self) -> Any:
        names = ("run", "title", "state", "fraction", "rate", "left", "best", "failures")
        return self.source(*names)

    @property
    def targets(self) -> Any:
        return self.source("target", "searched", "state", "best")

    @property
    def stages(self) -> dict[str, str]:
        data = self.source("stage", "part", "text").data
        return dict(zip(data["stage"], data["text"], strict=True))

    @property
    def picture(self) -> Any:
        return next(iter(self.source("image", "dw", "dh").data["image"]), None)

    def texts(self) -> str:
        """Return the titles and paragraphs that are seen, as HTML."""
        models = [
            *self.document.select({"type": Div}),
            *self.document.select({"type": Title}),
        ]
        return "\n".join(model.text for model in models)

    def pick(self, source: Any, row: int) -> None:
        """Do what a click on a row does."""
        self.session.document.get_model_by_id(source.selected.id).indices = [row]
        self.session.force_roundtrip()

    def until(self, condition: Callable[[], Any]) -> Any:
        """Look until a condition holds, and return what it returns."""
        end = time.monotonic() + DEADLINE_SECONDS
        pause = threading.Event()
        while True:
            self.look()
            found = condition()
            if found:
                return found
            assert time.monotonic() < end, "it does not become true"
            pause.wait(0.1)


@pytest.fixture
def view() -> Iterator[Callable[[str], Viewer]]:
    """Open the page of a dashboard: ``view(link)``, where `link` is that of its first page."""
    opened = []

    def open_page(link: str) -> Viewer:
        viewer = Viewer(link.replace("/status", "/scorefold"))
        opened.append(viewer)
        return viewer

    yield open_page
    for viewer in opened:
        viewer.session.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[SimpleNamespace]:
    """Two workers in this process, their client, and the address of the dashboard."""
    options = {"threads_per_worker": 1, "processes": False, "memory_limit": 0}
    with (
        LocalCluster(n_workers=2, dashboard_address="127.0.0.1:0", **options) as local,
        Client(local, set_as_default=False) as client,
    ):
        link = f"http://127.0.0.1:{local.scheduler.http_server.port}/status"
        yield SimpleNamespace(client=prepare(client), link=link, scheduler=local.scheduler)
