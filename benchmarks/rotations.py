"""Time per rotation of both engines: against the bare inverse transform, pyTME, PowerFit, and loops over angles."""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from benchmarks.measuring import Row, Table, Timer, alternate, compare, seconds_per_call
from benchmarks.peers import Peer
from benchmarks.search import CellSearch, Search, fastest_cells, rotation_timer
from scorefold import match
from scorefold.rotations import angle_to_matrix, plane_rotations, space_rotations
from scorefold.scoring.fft import available_providers
from scorefold.scoring.masks import template_mask
from scorefold.testing.planting import chain_density

Array = NDArray[Any]

INSIDE = "positions at which the template lies inside"
EVERYWHERE = "every position, as pyTME scores them"
TEMPLATES = (
    "Target and template are noise; for the compressed engine, whose bases depend on the template, it is the density "
    "of a chain of atoms blurred by σ voxels, in the rotation set of 7°."
)


def inverse_timer(shape: tuple[int, ...], fft: str, calls: int) -> Timer:
    """Return what measures the bare inverse transform of a half spectrum, single precision, one thread."""
    spectrum = scipy.fft.rfftn(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    if fft == "scipy":
        return lambda: seconds_per_call(lambda: scipy.fft.irfftn(spectrum, shape, workers=1), calls)
    import pyfftw  # noqa: PLC0415 - an optional dependency

    source, sink = pyfftw.empty_aligned(spectrum.shape, "complex64"), pyfftw.empty_aligned(shape, "float32")
    axes = tuple(range(len(shape)))
    plan = pyfftw.FFTW(source, sink, axes=axes, direction="FFTW_BACKWARD", flags=("FFTW_MEASURE",), threads=1)

    def once() -> None:
        source[...] = spectrum  # the transform destroys it
        plan.execute()

    return lambda: seconds_per_call(once, calls)


def volume_search(edge: int, box: int, score: str, fft: str) -> Search:
    """Return a search of noise for noise, with a spherical mask, or two thirds of a sphere for FLC."""
    rng = np.random.default_rng(0)
    mask = template_mask("sphere", (box,) * 3, radius=box / 2 - 1)
    if score == "FLC":
        mask[: box // 3] = 0
    return Search(
        rng.normal(size=(edge,) * 3).astype(np.float32),
        rng.normal(size=(box,) * 3).astype(np.float32),
        mask,
        space_rotations(60),
        score,
        fft,
    )


def particle_search(edge: int, box: int, blur: float, step: float, score: str = "FLCSphericalMask") -> Search:
    """Return a search of noise for the density of a particle, by the fastest transforms that are there."""
    search = volume_search(edge, box, score, available_providers()[-1])
    density = chain_density(np.random.default_rng(0), box, blur=blur).astype(np.float32)
    return replace(search, template=density, rotations=space_rotations(step))


def in_volumes(python: str | None, *, tiny: bool, repeats: int) -> Iterator[Table]:
    """Compare both engines with the bare inverse transform and with pyTME, in volumes, with a spherical mask."""
    for edge, box in [(32, 8)] if tiny else [(128, 32), (192, 48)]:
        yield _in_volume(python, edge, box, "FLCSphericalMask", repeats, tiny=tiny)


def with_turned_masks(python: str | None, *, tiny: bool, repeats: int) -> Iterator[Table]:
    """Compare them with a mask that turns with the template."""
    edge, box = (32, 8) if tiny else (128, 32)
    yield _in_volume(python, edge, box, "FLC", repeats, tiny=tiny)


def _in_volume(python: str | None, edge: int, box: int, score: str, repeats: int, *, tiny: bool) -> Table:
    timers: dict[str, Timer] = {}
    notes: dict[str, str] = {}
    calls = 2 if tiny else 5
    for fft in available_providers():
        search = volume_search(edge, box, score, fft)
        timers[f"inverse transform, {fft}"] = inverse_timer(search.shape, fft, calls)
        notes[f"inverse transform, {fft}"] = f"{'×'.join(map(str, search.shape))}, all values"
        timers[f"scorefold, {fft}"] = rotation_timer(search, calls)
        notes[f"scorefold, {fft}"] = f"cubic; {INSIDE}"
        timers[f"scorefold, {fft}, padded"] = rotation_timer(replace(search, pad_edges=True), calls)
        notes[f"scorefold, {fft}, padded"] = f"cubic; {EVERYWHERE}"
    for blur in (0.8, 1.3):
        particle = particle_search(edge, box, blur, 60.0 if tiny else 7.0, score)
        for pad_edges in (False, True):
            name = f"scorefold, compressed 0.3, σ {blur}{', padded' if pad_edges else ''}"
            found = fastest_cells(
                replace(particle, pad_edges=pad_edges),
                0.3,
                [90.0] if tiny else [20.0, 25.0, 32.0, 40.0, 55.0],
            )
            timers[name] = found.timer()
            where = EVERYWHERE if pad_edges else INSIDE
            notes[name] = f"{particle.fft}; {found.describe()}; candidates not rescored; {where}"
    against = ["inverse transform, scipy"]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as peers:
        if python is not None:
            timers["pyTME"] = peers.enter_context(pytme(python, search, Path(folder), score)).seconds
            notes["pyTME"] = "cubic; every position"
            against.append("pyTME")
        if python is not None and score == "FLC":  # its mask turns always
            timers["PowerFit"] = peers.enter_context(powerfit(python, search, Path(folder))).seconds
            notes["PowerFit"] = "linear, the mask without interpolation; every position"
            against.append("PowerFit")
        medians = alternate(timers, repeats)
    title = f"{score}, target {edge}³, template {box}³, one core"
    return Table(title, "rotation", compare(medians, against, notes), [TEMPLATES])


def of_bases(_python: str | None, *, tiny: bool, repeats: int) -> Iterator[Table]:
    """Tabulate what the compressed engine takes by tolerance, size of the cells, and detail of the template."""
    edge, box, step = (32, 8, 60.0) if tiny else (128, 32, 7.0)
    angles, tolerances = ([90.0], [0.3]) if tiny else ([14.0, 20.0, 28.0, 40.0], [0.3, 0.2, 0.1])
    for blur in (0.8, 1.3):
        search = particle_search(edge, box, blur, step)
        rows = []
        for tolerance in tolerances:
            for angle in angles:
                found = CellSearch(search, angle, tolerance)
                seconds = alternate({"": found.timer(cells=8)}, repeats)[""]
                rows.append(Row(f"tolerance {tolerance}, {angle:g}°", seconds, note=found.describe()))
        title = (
            f"Bases of a particle with σ {blur}, set of {step:g}°, target {edge}³, template {box}³, one core"
        )
        yield Table(title, "rotation", rows)


def pytme(python: str, search: Search, folder: Path, score: str) -> Peer:
    """Return what measures a rotation of pyTME."""
    options = {"score": score, "order": 3, "few": 2, "many": 10}
    return Peer(python, "pytme_rotations.py", data=_stored(search, folder), **options)


def powerfit(python: str, search: Search, folder: Path) -> Peer:
    """Return what measures a rotation of PowerFit, without its filters of the target and of the mask."""
    return Peer(python, "powerfit_rotations.py", data=_stored(search, folder), few=2, many=10)


def _stored(search: Search, folder: Path) -> str:
    path = folder / "search.npz"
    np.savez(path, target=search.target, template=search.template, mask=search.mask)
    return str(path)


def in_images(_python: str | None, *, tiny: bool, repeats: int) -> list[Table]:
    """Compare a search over angles with OpenCV and scikit-image in a loop, and the best poses."""
    from skimage import data  # noqa: PLC0415

    image = data.brick()[:480, :512].astype(np.float32)
    image = np.pad(image, [(0, 0), (0, 128)], mode="reflect")
    if tiny:
        image = image[:120, :160]
    height, width = (20, 30) if tiny else (80, 120)
    step = 30.0 if tiny else 1.0
    noise = np.random.default_rng(0).normal(0, 5, image.shape).astype(np.float32)
    y, x, angle = (60.0, 80.0, 30.0) if tiny else (220.5, 310.5, 37.0)
    offsets = np.indices((height, width)).reshape(2, -1) - [[(height - 1) / 2], [(width - 1) / 2]]
    places = angle_to_matrix(angle) @ offsets + [[y], [x]]
    template = map_coordinates(image, places, order=3).reshape(height, width)
    image += noise
    rotations = plane_rotations(step)
    timers: dict[str, Timer] = {}
    notes: dict[str, str] = {}
    box = np.ones(template.shape, np.float32)
    for fft in available_providers():
        search = Search(image, template, box, rotations, "FLC", fft)
        timers[f"scorefold, {fft}"] = rotation_timer(search, 3 if tiny else 20)
        notes[f"scorefold, {fft}"] = "FLC, cubic, the rectangle as a turned mask"
    disk = template_mask("disk", template.shape, radius=height / 2 - 1)
    for name, cells, mask in (
        ("scorefold, compressed 0.3", search, "FLC, the rectangle as a turned mask"),
        (
            "scorefold, compressed 0.3, disk",
            replace(search, mask=disk, score="FLCSphericalMask"),
            "the mask is a disk of the template's height",
        ),
    ):
        found = fastest_cells(cells, 0.3, [90.0] if tiny else [6.0, 12.0, 18.0, 24.0, 36.0])
        timers[name] = found.timer(cells=10**9)
        notes[name] = f"{search.fft}; {mask}; {found.describe()}; candidates not rescored"
    angles = np.arange(0, 360, 30.0 if tiny else 15.0).tolist()
    loops: dict[str, tuple[str, dict[str, Any], str]] = {
        "OpenCV, masked": ("opencv_angles.py", {"masked": True}, "TM_CCOEFF_NORMED, linear"),
        "OpenCV, not masked": (
            "opencv_angles.py",
            {"masked": False},
            "TM_CCOEFF_NORMED, linear; the corners of the box count",
        ),
        "scikit-image, not masked": (
            "skimage_angles.py",
            {},
            "match_template, linear; the corners of the box count",
        ),
    }
    poses = [_best_pose(image, template, step, engine) for engine in ("exact", "compressed")]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as peers:
        stored = Path(folder) / "search.npz"
        np.savez(stored, image=image, template=template, mask=box)
        for name, (script, options, conditions) in loops.items():
            peer = Peer(sys.executable, script, data=str(stored), angles=angles, **options)
            timers[name] = peers.enter_context(peer).seconds
            notes[name] = f"{conditions}; {len(angles)} of the angles"
        script, options, _ = loops["OpenCV, masked"]
        every = [step * number for number in range(len(rotations))]
        with Peer(sys.executable, script, data=str(stored), angles=every, **options) as peer:
            score, *pose = peer.ask()["best"]
        poses.append(_pose("OpenCV, masked", score, *pose))
        medians = alternate(timers, repeats)
    title = f"Image {image.shape[1]}×{image.shape[0]}, template {width}×{height}, one core"
    truth = f"{angle:g}°, y {y}, x {x}"
    best = f"Best of all {len(rotations)} angles, the rectangle as a mask, template from {truth}: {'; '.join(poses)}."
    return [Table(title, "angle", compare(medians, list(loops), notes), [best])]


def _best_pose(image: Array, template: Array, step: float, engine: str) -> str:
    """Return what a whole search by an engine finds best, as text."""
    options: dict[str, Any] = {"score": "FLC", "mask": "none", "step": step, "fft": "auto", "top": 1}
    found = match(image, template, engine=engine, scheduler="serial", refine=False, render=False, **options)
    (pick,) = found.picks.itertuples()
    return _pose(f"scorefold, {engine}", pick.score, pick.angle, pick.y, pick.x)


def _pose(name: str, score: float, angle: float, y: float, x: float) -> str:
    return f"{name} {score:.3f} at {angle:g}°, y {y:.1f}, x {x:.1f}"


BENCHMARKS: dict[str, Callable[..., Iterable[Table]]] = {
    "volumes": in_volumes,
    "masks": with_turned_masks,
    "images": in_images,
    "bases": of_bases,
}
