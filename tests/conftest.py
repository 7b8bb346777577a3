"""A small search and a small inspection that can be cut in many ways, shared by the tests of runs (cluster, faults)."""

import contextlib
import dataclasses
import gc
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:  # tests of other packages do without these imports
    from scorefold.cluster import MatchRun
    from scorefold.planning.prepare import PreparedMatch

SHAPES = ((60, 70), (60, 70), (60, 70), (50, 90))
TEMPLATE = (12, 13)

PART_SHAPE = (24, 30)
DEFECTS = {"a/part-1": (6, 8, 70), "a/part-3": (14, 20, -70), "b/part-1": (10, 12, 60)}
"""Row, column and contrast of the planted defects, 5 x 5 pixels, by image."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests that kill processes at random be as many as one likes."""
    parser.addoption("--runs", type=int, default=30, help="runs of the tests marked chaos (default: 30)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every run of those tests a seed."""
    if "seed" in metafunc.fixturenames and metafunc.definition.get_closest_marker("chaos"):
        metafunc.parametrize("seed", range(metafunc.config.getoption("runs")))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what FFTW learns in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, ...]]:
    """Return options for TLS by the name of an authority: ``certificates("ours")``; files are made once a name."""
    import trustme

    @cache
    def make(authority: str) -> tuple[str, ...]:
        folder = tmp_path_factory.mktemp(authority)
        signer = trustme.CA()
        signed = signer.issue_cert("127.0.0.1")
        files = {
            "ca": signer.cert_pem,
            "cert": signed.cert_chain_pems[0],
            "key": signed.private_key_pem,
        }
        for name, content in files.items():
            content.write_to_path(str(folder / f"{name}.pem"))
        return tuple(part for name in files for part in (f"--tls-{name}", str(folder / f"{name}.pem")))

    return make


@pytest.fixture(scope="session")
def start_scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start a scheduler on loopback, and workers; return its address.

    ``start_scheduler(*options, workers=0, dashboard=None)``: options of both, and those of the scheduler's dashboard,
    which it has if they are given.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str, workers: int = 0, dashboard: tuple[str, ...] | None = None) -> str:
        folder = tmp_path_factory.mktemp("scheduler")
        file = folder / "scheduler.json"
        common = ("--scheduler-file", str(file), *options)

        def process(tool: str, *more: str) -> None:
            command = [sys.executable, "-m", f"distributed.cli.dask_{tool}", *common, *more]
            started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=folder))

        shown = (
            ("--dashboard-address", "127.0.0.1:0", *dashboard)
            if dashboard is not None
            else ("--no-dashboard",)
        )
        process("scheduler", "--host", "127.0.0.1", "--port", "0", *shown)
        pause = threading.Event()
        address = None
        while address is None:  # the test's time-out is the end of this
            assert started[-1].poll() is None, "the scheduler has ended"
            pause.wait(0.05)
            with contextlib.suppress(FileNotFoundError, ValueError):  # it may be half written
                address = json.loads(file.read_bytes())["address"]
        for _ in range(workers):
            alone = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--no-dashboard")
            process("worker", "--host", "127.0.0.1", *alone)
        return str(address)

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", autouse=True)
def frozen_imports() -> None:
    """Spare tasks, which collect cycles, the search among all that was imported; it takes longer than they do."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def targets() -> list[np.ndarray]:
    """Four images of two shapes; in each, turned copies of the template."""
    from scipy.ndimage import gaussian_filter

    from scorefold.rotations import angle_to_matrix
    from scorefold.testing.planting import plant

    rng = np.random.default_rng(5)
    template = 5 * gaussian_filter(rng.normal(size=TEMPLATE), 1)
    images = []
    for index, shape in enumerate(SHAPES):
        image = rng.normal(size=shape)
        angles = angle_to_matrix(np.array([30.0 * index, 90.0]))
        plant(image, template, np.ones(TEMPLATE), [[20.0, 30.5], [36.0, 52.0]], angles)
        images.append(image)
    return [*images, template]


@pytest.fixture(scope="session")
def prepared(targets: list[np.ndarray]) -> "PreparedMatch":
    """The search of four targets at 24 angles, as the planner cuts it."""
    from scorefold.planning.prepare import prepare_match
    from scorefold.planning.request import MatchRequest

    *images, template = targets
    return prepare_match(
        MatchRequest(
            targets=images, template=template, mask="disk", step=15, threshold=0.7, fft="scipy", top=20
        )
    )


@pytest.fixture(scope="session")
def cut() -> Callable[..., "PreparedMatch"]:
    """Give a search another plan: ``cut(prepared, rotation_block=5, batch_tiles=2, cell=None)``."""
    from scipy.fft import next_fast_len

    def make(
        prepared: "PreparedMatch",
        *,
        rotation_block: int = 2,
        batch_tiles: int = 2,
        cell: tuple[int, ...] | None = None,
    ) -> "PreparedMatch":
        groups = []
        for group in prepared.plan.groups:
            tiling = group.tiling
            if cell is not None:
                lengths = zip(cell, prepared.plan.box, strict=True)
                fast = tuple(next_fast_len(c + b - 1, real=True) for c, b in lengths)
                tiling = dataclasses.replace(tiling, cell=cell, fft_shape=fast)
            groups.append(
                dataclasses.replace(
                    group, tiling=tiling, batch_tiles=batch_tiles, rotation_block=rotation_block
                )
            )
        plan = dataclasses.replace(prepared.plan, groups=tuple(groups))
        return dataclasses.replace(prepared, plan=plan)

    return make


@pytest.fixture(scope="session")
def run_at(prepared: "PreparedMatch", cut: Callable[..., "PreparedMatch"]) -> Callable[..., "MatchRun"]:
    """Make runs of that search: ``run_at(location, rotation_block=5, batch_tiles=2, cell=None)``."""
    from scorefold.cluster import create_run

    def make(
        location: Path,
        *,
        rotation_block: int = 2,
        batch_tiles: int = 2,
        cell: tuple[int, ...] | None = None,
        keep_states: bool = True,
        **changes: Any,
    ) -> "MatchRun":
        search = cut(prepared, rotation_block=rotation_block, batch_tiles=batch_tiles, cell=cell)
        changed = dataclasses.replace(search, **changes)
        return create_run(str(location), changed, keep_states=keep_states)

    return make


@pytest.fixture
def new_run(tmp_path: Path, run_at: Callable[..., "MatchRun"]) -> Callable[..., "MatchRun"]:
    """Make runs of that search for one test: ``new_run(name, rotation_block=5, ...)``, as `run_at`."""

    def make(name: str = "run", **cut: Any) -> "MatchRun":
        return run_at(tmp_path / name, **cut)

    return make


@pytest.fixture(scope="session")
def stages_ended() -> Callable[["MatchRun"], Counter[str]]:
    """Drive a run in this process, without pictures; return how often work of each stage ended well."""
    from scorefold.cluster import drive
    from scorefold.cluster.executor import SerialExecutor

    def work(run: "MatchRun") -> Counter[str]:
        ended: Counter[str] = Counter()
        drive(
            run,
            SerialExecutor(),
            render=False,
            on_progress=lambda p: ended.update([p.last.node.stage] if p.last and not p.last.error else []),
        )
        return ended

    return work


@pytest.fixture(scope="session")
def output_of() -> Callable[[str], dict[str, bytes]]:
    """Return all bytes that a run has to show: result maps, tables, pictures, report.

    A process that is killed while it writes a file leaves what it had written beside it, under a name of its own that
    nobody reads and `gc` removes; that is not shown.
    """

    def read(location: str) -> dict[str, bytes]:
        root = Path(location)
        shown = ("results", "tables", "figures", "report.html")
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.relative_to(root).parts[0] in shown and path.suffix != ".partial"
        }

    return read


@pytest.fixture(scope="session")
def serial_output(
    run_at: Callable[..., "MatchRun"],
    output_of: Callable[[str], dict[str, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., dict[str, bytes]]:
    """Return what one process makes of the search, undisturbed: ``serial_output(render=False, ...)``, as `run_at`."""
    from scorefold.cluster import drive
    from scorefold.cluster.executor import SerialExecutor

    @cache
    def make(*, render: bool = False, **cut: Any) -> dict[str, bytes]:
        run = run_at(tmp_path_factory.mktemp("serial") / "run", **cut)
        drive(run, SerialExecutor(), render=render)
        return output_of(run.store.location)

    return make


@pytest.fixture(scope="session")
def data_set(tmp_path_factory):
    """A printed part in folders good, test (a/ and b/, with equal file names), masks and odd, and all pixels."""
    import cv2

    rng = np.random.default_rng(11)
    root = tmp_path_factory.mktemp("parts")
    base = 90 + 60 * np.kron(rng.integers(0, 2, (6, 6)), np.ones((4, 5)))
    good = [np.uint8(base + rng.normal(0, 3, PART_SHAPE)) for _ in range(9)]
    test, masks = {}, {}
    for folder, count in (("a", 7), ("b", 4)):
        for index in range(count):
            name = f"{folder}/part-{index}"
            image, mask = base + rng.normal(0, 3, PART_SHAPE), np.zeros(PART_SHAPE, np.uint8)
            if name in DEFECTS:
                y, x, contrast = DEFECTS[name]
                image[y : y + 5, x : x + 5] += contrast
                mask[y : y + 5, x : x + 5] = 255
                masks[name] = mask
            test[name] = np.uint8(np.clip(image, 0, 255))
    paths = {f"good/g{index}": image for index, image in enumerate(good)}
    paths |= {f"test/{name}": image for name, image in test.items()}
    paths |= {f"masks/{name}": mask for name, mask in masks.items()}
    for name, image in paths.items():
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    (root / "odd").mkdir()
    (root / "odd" / "broken.png").write_bytes((root / "good" / "g0.png").read_bytes()[:-90])
    cv2.imwrite(str(root / "odd" / "small.png"), good[0][:10, :12])
    return SimpleNamespace(root=root, good=good, test=test, masks=masks)


@pytest.fixture(scope="session")
def learn():
    """Make, drive and return trainings: ``learn(location, images=..., method=..., ...)``."""
    from scorefold.cluster import create_training, drive
    from scorefold.cluster.executor import SerialExecutor
    from scorefold.planning.inspect_request import TrainRequest
    from scorefold.planning.prepare_inspect import prepare_train

    def make(location, *, leaf_images=None, **options):
        prepared = _cut_images(prepare_train(TrainRequest(**options)), leaf_images)
        run = create_training(str(location), prepared)
        drive(run, SerialExecutor())
        return run

    return make


@pytest.fixture(scope="session")
def model(data_set, learn, tmp_path_factory):
    """The standard model of the good images."""
    return learn(tmp_path_factory.mktemp("model") / "run", images=[data_set.root / "good"]).model()


@pytest.fixture(scope="session")
def new_inspection():
    """Make inspections: ``new_inspection(location, leaf_images=..., chunk_images=..., images=..., model=..., ...)``."""
    from scorefold.cluster import create_inspection
    from scorefold.planning.inspect_request import InspectRequest
    from scorefold.planning.prepare_inspect import prepare_inspect

    def make(location, *, leaf_images=None, chunk_images=None, **options):
        prepared = _cut_images(prepare_inspect(InspectRequest(**options)), leaf_images, chunk_images)
        return create_inspection(str(location), prepared)

    return make


def _cut_images(prepared, leaf_images=None, chunk_images=None):
    """Return a prepared run with other leaves."""
    groups = []
    for group in prepared.plan.groups:
        chunk = chunk_images or (1 if leaf_images else group.chunk_images)
        leaf = leaf_images or group.leaf_images
        groups.append(dataclasses.replace(group, chunk_images=chunk, leaf_images=-(-leaf // chunk) * chunk))
    return dataclasses.replace(prepared, plan=dataclasses.replace(prepared.plan, groups=tuple(groups)))
