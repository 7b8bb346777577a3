"""With a real S3 server, inputs, models and runs at URLs give the bytes that they give on disk, also if it dies."""

import re
import sys
import threading
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

import scorefold
from scorefold.demo import coin_scene
from scorefold.demo.coins import PHOTOGRAPH_ANGLE
from scorefold.errors import InputError
from scorefold.io import find_targets
from scorefold.planning.truth import truth_of_masks
from scorefold.rotations import plane_rotations, write_rotations
from scorefold.testing import StoreTests

SEARCH = ("--mask", "disk", "--mask-radius", "22", "--threshold", "0.6", "--fft", "scipy")
WORKFLOW = Path(__file__).parents[2] / "workflows" / "s3.py"
AT_URLS = ("--workers", "2")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two small photographs, one of them in tiles of TIFF, a coin, angles and an image that is cut short."""
    folder = tmp_path_factory.mktemp("photographs")
    scene = coin_scene(folder / "scene")
    images = folder / "images"
    images.mkdir()
    turned, brick = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in scene.targets[:2])
    cv2.imwrite(str(images / "turned.png"), turned)
    tifffile.imwrite(images / "brick.tif", brick[100:300, 380:], tile=(64, 64), compression="zlib")
    (images / "cut.png").write_bytes(scene.template.read_bytes()[:-100])
    (folder / "coin.png").write_bytes(scene.template.read_bytes())
    write_rotations(folder / "angles.csv", plane_rotations(20.0))
    return folder


def outcome(process, code):
    """Return what a process printed, once it has ended with an exit code."""
    out, err = process.communicate()
    assert process.returncode == code, out + err
    return out, err


def same_output(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Compare what two runs show byte by byte; but reports and tables of images name places, which differ."""
    assert found.keys() == expected.keys()
    for name, content in found.items():
        if not name.startswith(("report", "tables/images")):
            assert content == expected[name], name
    images, others = (
        pd.read_csv(StringIO(files["tables/images.csv"].decode()), comment="#") for files in (found, expected)
    )
    pd.testing.assert_frame_equal(images.drop(columns="path"), others.drop(columns="path"))


def search(place, *options):
    """Return the words that search all photographs at a place."""
    return ("match", f"{place}/images/", "-t", f"{place}/coin.png", *SEARCH, *options)


@pytest.mark.system
@pytest.mark.timeout(120)
def test_a_search_is_the_same_as_on_disk_and_lists_no_bucket_in_tasks(
    s3_server, photographs, tmp_path, output_of
):
    url = s3_server.put(photographs, "search")
    s3_server.requests()
    arguments = search(url, "--rotations", f"{url}/angles.csv", "-o", f"{url}/run", *AT_URLS)
    process = s3_server.scorefold(*arguments, folder=tmp_path)
    scorefold.match(
        photographs / "images",
        photographs / "coin.png",
        mask="disk",
        mask_radius=22,
        threshold=0.6,
        fft="scipy",
        rotations=photographs / "angles.csv",
        out=tmp_path / "on-disk",
        scheduler="serial",
    )
    _, err = outcome(process, 1)
    assert err.count("\n") == 1
    assert "cut.png" in err
    requests = s3_server.requests()
    found = output_of(s3_server.download(f"{url}/run", tmp_path / "found"))
    same_output(found, output_of(tmp_path / "on-disk"))

    listed = [request for request in requests if "list-type" in request]
    places = {re.search(r"prefix=([^&]*)", request)[1] for request in listed}
    assert places <= {
        f"search%2F{name}%2F" for name in ("images", "run", "run%2Fcommits", "run%2Ffigures%2Fsheets")
    }
    tasks = sum("/search/run/commits/" in request for request in requests if request.startswith("PUT"))
    assert tasks > 10
    assert len(listed) <= 6, "a run lists a few times, whatever the number of its tasks"
    whole = [
        request for request in requests if request == f"GET /{s3_server.bucket}/search/images/turned.png"
    ]
    assert len(whole) <= 5, "listed, examined, searched, refined and drawn: once each"


@pytest.mark.system
@pytest.mark.timeout(120)
def test_an_inspection_is_the_same_as_on_disk(s3_server, data_set, tmp_path, output_of):
    url = s3_server.put(data_set.root, "parts")
    train = ("inspect", "train", f"{url}/good/", "-o", f"{url}/model", "--scheduler", "serial")
    process = s3_server.scorefold(*train, folder=tmp_path)
    model = scorefold.train(data_set.root / "good", out=tmp_path / "model", scheduler="serial")
    outcome(process, 0)

    images = ("test/a/", "test/b/*.png", "odd/broken.png")
    arguments = [*(f"{url}/{name}" for name in images), "--model", f"{url}/model", "--masks", f"{url}/masks"]
    process = s3_server.scorefold("inspect", "run", *arguments, "-o", f"{url}/run", *AT_URLS, folder=tmp_path)
    scorefold.inspect(
        [f"{data_set.root}/{name}" for name in images],
        model,
        masks=data_set.root / "masks",
        out=tmp_path / "run",
        scheduler="serial",
    )
    outcome(process, 1)
    listed = [request for request in s3_server.requests() if "list-type" in request and "%2Frun" in request]
    assert len(listed) <= 4, "whatever the number of its tasks"
    for name in ("model", "run"):
        found = output_of(s3_server.download(f"{url}/{name}", tmp_path / "found" / name))
        same_output(found, output_of(tmp_path / name))


def test_a_bucket_that_cannot_be_listed_is_refused_in_one_line(s3_server, photographs, tmp_path, monkeypatch):
    arguments = ("plan", "s3://no-such-bucket/lot/", "-t", photographs / "coin.png")
    out, err = outcome(s3_server.scorefold(*arguments, folder=tmp_path), 2)
    assert (out, err) == ("", 'scorefold: target "s3://no-such-bucket/lot": no such bucket. Check the URL.\n')
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        InputError, match=r'"s3://forbidden-lots/\*\*/\*.png": access was refused. Check the cred'
    ):
        find_targets("s3://forbidden-lots/**/*.png")
    with pytest.raises(InputError, match=r'^masks "s3://forbidden-lots/masks": access was refused'):
        truth_of_masks([], "s3://forbidden-lots/masks/")
    _, (refused, missing) = find_targets(["s3://forbidden-lots/a.png", f"s3://{s3_server.bucket}/a.png"])
    assert (refused.reason, missing.reason) == ("permission denied", "no such file")


@pytest.mark.long
class TestRunsAtS3(StoreTests):
    """A real server is a place where runs can be stored."""

    @pytest.fixture
    def location(self, s3_server, monkeypatch, request):
        for name, value in s3_server.environment.items():
            monkeypatch.setenv(name, value)
        return f"s3://{s3_server.bucket}/{request.node.name}"


@pytest.mark.long
@pytest.mark.timeout(180)
def test_the_workflow_finds_the_coins(s3_server, tmp_path):
    url = f"s3://{s3_server.bucket}/workflow"
    arguments = ("--url", url, "--step", "8", "--workers", "1")
    out, _ = outcome(
        s3_server.scorefold(*arguments, folder=tmp_path, program=(sys.executable, str(WORKFLOW))), 0
    )
    angle = re.search(r"^ *coins-turned +1 .* ([\d.]+)$", out, re.MULTILINE)
    assert float(angle[1]) == pytest.approx(PHOTOGRAPH_ANGLE, abs=1)
    assert f"scorefold resume {url}/run" in out


@pytest.fixture(scope="module")
def finely_searched(s3_server, photographs, tmp_path_factory, output_of):
    """What a search shows that takes a while."""
    folder = tmp_path_factory.mktemp("finely")
    process = s3_server.scorefold(*search(photographs, "--step", "1", "-o", "run"), folder=folder)
    outcome(process, 1)
    return output_of(folder / "run")


@pytest.mark.chaos
@pytest.mark.timeout(500)
@pytest.mark.parametrize(  # with odd numbers it stays away until the store's client gives up
    "number", [0, *(pytest.param(number, marks=pytest.mark.long) for number in (1, 2)), 3]
)
def test_a_server_that_is_killed_and_comes_back_soon_or_late_costs_no_byte(
    new_s3_server, photographs, finely_searched, tmp_path, output_of, number
):
    server = new_s3_server()
    url = server.put(photographs, "search")
    commits = int(np.random.default_rng(number).integers(1, 12))
    process = server.scorefold(*search(url, "--step", "1", "-o", f"{url}/run", *AT_URLS), folder=tmp_path)
    pause = threading.Event()
    while server.logged(f"PUT /{server.bucket}/search/run/commits/") < commits:
        assert process.poll() is None, process.communicate()
        pause.wait(0.01)
    server.kill()
    server.wait_for_a_request_in_vain()
    stays_away = number % 2 == 1
    if not stays_away:
        server.start()
    out, err = process.communicate()
    if stays_away:
        assert process.returncode == 2, out + err
        server.start()
    if process.returncode != 1:  # with 1 it has done all but the image that is cut short
        assert err.count("\n") == 1, out + err
        assert f"scorefold resume {url}/run" in err
        outcome(server.scorefold("resume", f"{url}/run", *AT_URLS, folder=tmp_path), 1)
    same_output(output_of(server.download(f"{url}/run", tmp_path / "found")), finely_searched)
