"""Time per rotation of the exact engine: against the bare inverse transform, pyTME, and OpenCV's loop over angles."""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from benchmarks.measuring import Table, Timer, alternate, compare, seconds_per_call
from benchmarks.peers import Peer
from scorefold.analyzer import MaxScoreOverRotations
from scorefold.rotations import plane_rotations, space_rotations
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import available_providers, provider
from scorefold.scoring.masks import template_mask
from scorefold.scoring.score import TargetTile, choose_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile

Array = NDArray[Any]


@dataclass(frozen=True)
class Search:
    """A target and a template, and how the exact engine searches the one for the other as a single tile."""

    target: Array
    template: Array
    mask: Array
    rotations: Array
    score: str
    fft: str = "scipy"

    def batch(self, *, pad_edges: bool = False) -> tuple[Any, Any, tuple[int, ...]]:
        """Return the prepared batch, the analyzer, and the shape of the transforms."""
        template = Template(self.template, self.mask, self.rotations)
        extra = [b - 1 if pad_edges else 0 for b in template.box]
        shape = tuple(next_fast_len(n + e, real=True) for n, e in zip(self.target.shape, extra, strict=True))
        engine = ExactEngine(
            template,
            self.rotations,
            choose_score(self.score, invariant=template.invariant),
            provider(self.fft, provider(self.fft).learn([shape], template.box, ["float32", "float64"])),
            shape,
            pad_edges=pad_edges,
        )
        positions = tuple(
            n + e - b + 1 for n, e, b in zip(self.target.shape, extra, template.box, strict=True)
        )
        values = (self.target - self.target.mean()) / self.target.std()
        padded = np.pad(values, [(e // 2, e - e // 2) for e in extra])
        tile = Tile((0,) * values.ndim, positions, positions)
        analyzer = MaxScoreOverRotations(positions, rotations=self.rotations)
        return engine.prepare([tile], [TargetTile(padded, None, 0.0, 1.0)], [analyzer]), analyzer, shape


def rotation_timer(search: Search, calls: int, *, pad_edges: bool = False) -> Timer:
    """Return what measures one rotation of the exact engine, after two that are not counted."""
    batch, analyzer, _ = search.batch(pad_edges=pad_edges)
    states = [analyzer.init_state()]
    for rotation_id in range(2):
        states = batch.fold(rotation_id, states)
    ids = iter(range(2, 10**9))

    def once() -> None:
        nonlocal states
        states = batch.fold(next(ids) % len(search.rotations), states)

    return lambda: seconds_per_call(once, calls)


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
    """Return a search of noise for noise, with a spherical mask, or half a sphere for FLC."""
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


def in_volumes(python: str | None, *, tiny: bool, repeats: int) -> list[Table]:
    """Compare the exact engine with the bare inverse transform and with pyTME, in volumes."""
    sizes = (
        [(32, 8, "FLCSphericalMask")]
        if tiny
        else [
            (128, 32, "FLCSphericalMask"),
            (192, 48, "FLCSphericalMask"),
            (128, 32, "FLC"),
        ]
    )
    return [_in_volume(python, edge, box, score, 2 if tiny else 5, repeats) for edge, box, score in sizes]


def _in_volume(python: str | None, edge: int, box: int, score: str, calls: int, repeats: int) -> Table:
    timers: dict[str, Timer] = {}
    notes: dict[str, str] = {}
    for fft in available_providers():
        search = volume_search(edge, box, score, fft)
        shape = search.batch()[2]
        timers[f"inverse transform, {fft}"] = inverse_timer(shape, fft, calls)
        notes[f"inverse transform, {fft}"] = f"{'×'.join(map(str, shape))}, all values"
        timers[f"scorefold, {fft}"] = rotation_timer(search, calls)
        notes[f"scorefold, {fft}"] = "cubic; positions at which the template lies inside"
        timers[f"scorefold, {fft}, padded"] = rotation_timer(search, calls, pad_edges=True)
        notes[f"scorefold, {fft}, padded"] = "cubic; every position, as pyTME scores them"
    with tempfile.TemporaryDirectory() as folder:
        against = ["inverse transform, scipy"]
        peer = _pytme(python, search, Path(folder), score) if python else None
        try:
            if peer is not None:
                timers["pyTME"] = peer.seconds
                notes["pyTME"] = "cubic; every position"
                against.append("pyTME")
            medians = alternate(timers, repeats)
        finally:
            if peer is not None:
                peer.__exit__(None, None, None)
    return Table(
        f"{score}, target {edge}³, template {box}³, one core", "rotation", compare(medians, against, notes)
    )


def _pytme(python: str, search: Search, folder: Path, score: str) -> Peer:
    data = folder / "search.npz"
    np.savez(data, target=search.target, template=search.template, mask=search.mask)
    return Peer(python, "pytme_rotations.py", data=str(data), score=score, order=3, few=2, many=10)


def in_images(_python: str | None, *, tiny: bool, repeats: int) -> list[Table]:
    """Compare a search over angles with OpenCV's masked matchTemplate in a loop, and the best poses of both."""
    from skimage import data  # noqa: PLC0415

    image = data.brick()[:480, :512].astype(np.float32)
    image = np.pad(image, [(0, 0), (0, 128)], mode="reflect")
    if tiny:
        image = image[:120, :160]
    height, width = (20, 30) if tiny else (80, 120)
    step = 30.0 if tiny else 1.0
    noise = np.random.default_rng(0).normal(0, 5, image.shape).astype(np.float32)
    y, x = (40, 50) if tiny else (200, 250)
    template = image[y : y + height, x : x + width].copy()
    image += noise
    rotations = plane_rotations(step)
    timers: dict[str, Timer] = {}
    notes: dict[str, str] = {}
    box = np.ones(template.shape, np.float32)
    for fft in available_providers():
        search = Search(image, template, box, rotations, "FLC", fft)
        timers[f"scorefold, {fft}"] = rotation_timer(search, 3 if tiny else 20)
        notes[f"scorefold, {fft}"] = "FLC, cubic, the rectangle as a turned mask"
    against: list[str] = []
    peers: list[Peer] = []
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "search.npz"
        np.savez(stored, image=image, template=template, mask=box)
        angles = np.arange(0, 360, 30.0 if tiny else 15.0).tolist()
        for name, masked in (("OpenCV, masked", True), ("OpenCV, not masked", False)):
            options = {"data": str(stored), "angles": angles, "masked": masked}
            peers.append(Peer(sys.executable, "opencv_angles.py", **options))
            timers[name] = peers[-1].seconds
            corners = "" if masked else "; the corners of the box count"
            notes[name] = f"TM_CCOEFF_NORMED, linear, {len(angles)} of the angles{corners}"
            against.append(name)
        try:
            medians = alternate(timers, repeats)
        finally:
            for peer in peers:
                peer.__exit__(None, None, None)
    shape = f"{image.shape[1]}×{image.shape[0]}"
    return [
        Table(
            f"Image {shape}, template {width}×{height}, one core", "angle", compare(medians, against, notes)
        )
    ]


BENCHMARKS: dict[str, Callable[..., list[Table]]] = {"volumes": in_volumes, "images": in_images}
