"""The page in a real browser: two of them look at two searches of two clients at once."""

import io
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from scorefold.cluster import create_run, drive
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.graph import DaskExecutor
from scorefold.cluster.local import connected, local_cluster
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEADLINE = 60_000
"""Milliseconds within which the page is to show something, on a machine that is busy with other things, too."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]

MANY = 52


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Photographs of a part: many in one folder, few in another, and the part."""
    rng = np.random.default_rng(3)
    root = tmp_path_factory.mktemp("photographs")
    part = rng.integers(0, 255, (15, 15), np.uint8)
    for folder, count in (("many", MANY), ("few", 3)):
        (root / folder).mkdir()
        for index in range(count):
            photo = rng.integers(0, 255, (96, 128), np.uint8)
            photo[30:45, 40 + index : 55 + index] = part
            cv2.imwrite(str(root / folder / f"photo-{index:02d}.png"), photo)
    cv2.imwrite(str(root / "part.png"), part)
    return root


def search(folders: Path, name: str, place: Path):
    prepared = prepare_match(
        MatchRequest(
            targets=[str(folders / name)],
            template=str(folders / "part.png"),
            mask="disk",
            step=6,
            fft="scipy",
            top=2,
        )
    )
    return create_run(str(place), prepared)


@pytest.fixture
def browsers():
    """Two browsers, each with a page; what goes wrong in their scripts is an error."""
    api = pytest.importorskip("playwright.sync_api")
    wrong = []

    def note(error):
        wrong.append(error)

    with api.sync_playwright() as playwright:
        started = [
            playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) for _ in range(2)
        ]
        pages = [browser.new_page(viewport={"width": 1280, "height": 1000}) for browser in started]
        for page in pages:
            page.set_default_timeout(DEADLINE)
            page.on("pageerror", note)
        yield pages
        for browser in started:
            browser.close()
    assert wrong == []


def row(page, table, text):
    """Return the row of a table that has a text in it."""
    return page.locator(f".{table}-table .slick-row").filter(has_text=text).first


def marked(page, table):
    """Return the first cell of the row that is marked."""
    return page.locator(f".{table}-table .slick-cell.selected").first.inner_text().strip()


def preview(page):
    """Return the pixels of the preview, as they are on the screen."""
    shot = page.locator(".preview").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(float)


@pytest.fixture
def work(folders, tmp_path):
    """Two searches by two clients of one cluster, begun when asked for."""
    places = {name: tmp_path / name for name in ("many", "few")}
    runs = {name: search(folders, name, place) for name, place in places.items()}
    failures = []
    looked = threading.Event()

    def hold(progress):
        """Let nobody miss a search that is at work."""
        if 2 * progress.done["score_leaf"] > progress.total["score_leaf"]:
            assert looked.wait(5 * DEADLINE / 1000)

    def drive_one(name, address):
        try:
            with connected(address) as client:
                drive(runs[name], DaskExecutor(client), on_progress=hold)
        except BaseException as error:
            failures.append(error)
            raise

    with local_cluster(2) as client:
        threads = [
            threading.Thread(target=drive_one, args=(name, client.scheduler.address), daemon=True)
            for name in runs
        ]
        yield SimpleNamespace(
            threads=threads,
            looked=looked,
            link=client.dashboard_link.replace("/status", "/scorefold"),
            places=places,
            runs=runs,
            failures=failures,
        )
        looked.set()
        for thread in threads:
            if thread.is_alive():
                thread.join()


def test_two_browsers_follow_two_searches_of_two_clients(browsers, work, folders, tmp_path, output_of):
    one, two = browsers
    for page in browsers:
        page.goto(work.link)
        page.get_by_text("No run has told of itself yet").wait_for()
        page.locator(".navbar").get_by_text("Scorefold").wait_for()
    for thread in work.threads:
        thread.start()

    # Both searches are in the tables of both browsers, told apart by what and where they are.
    for page in browsers:
        for name, count in (("many", MANY), ("few", 3)):
            expected = row(page, "run", f"{work.places[name]}")
            expected.wait_for()
            expected.filter(has_text=f"part.png in {count} targets").wait_for()
    row(one, "run", str(work.places["many"])).click()
    row(two, "run", str(work.places["few"])).click()
    one.get_by_text("a live estimate").locator("xpath=..").filter(
        has_text=f"part.png in {MANY} targets"
    ).wait_for()
    two.get_by_text("a live estimate").locator("xpath=..").filter(has_text="part.png in 3 targets").wait_for()

    # Progress is in words, and the preview is a picture, while the search is at work.
    row(one, "target", "photo-00").wait_for()
    one.locator(".preview canvas").first.wait_for()
    row(one, "run", str(work.places["many"])).filter(has_text="working").wait_for()
    assert preview(one).std() > 10, "the preview is blank"
    assert marked(one, "run") == str(work.places["many"])
    assert marked(two, "run") == str(work.places["few"])

    # What one picks is not picked by the other, and its effect comes while work goes on.
    row(one, "target", "photo-03").wait_for()
    before = marked(two, "run")
    row(one, "target", "photo-03").click()
    row(one, "target", "photo-03").locator(".selected").first.wait_for()
    assert marked(two, "run") == before
    assert row(two, "target", "photo-03").count() == 0

    work.looked.set()
    for thread in work.threads:
        thread.join()
    assert work.failures == []
    for page in browsers:
        for place in work.places.values():
            row(page, "run", str(place)).filter(has_text="finished").wait_for()
    assert marked(one, "target") == "photo-03"
    for name in work.places:
        serial = search(folders, name, tmp_path / f"serial {name}")
        drive(serial, SerialExecutor())
        assert output_of(str(work.places[name])) == output_of(serial.store.location)
