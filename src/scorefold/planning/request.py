"""What a user asks for, before any file was opened: every option of a match with its default."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

DEFAULT_MEMORY_LIMIT = 2 * 2**30


@dataclass(frozen=True)
class MatchRequest:
    """A match as asked for; `scorefold.planning.prepare` turns it into a job.

    Attributes
    ----------
    targets : sequence of str, path or array
        Files, directories, globs; or NumPy, Dask or Zarr arrays.
    template : str, path or array
        What is searched for.
    mask : str, path or array
        "none", "disk", "sphere", "ellipse", "box", a file or an array of weights between 0 and 1.
    mask_radius : float or tuple of float, optional
        Radius of a drawn mask in voxels.
    mask_edge : float
        Width of its soft edge in voxels.
    target_mask : str, path or array, optional
        Where targets count; for MCC.
    rotations : str, path or array, optional
        A file of rotations or matrices (n, d, d); else a set is made from `step`.
    step : float, optional
        Angular step in degrees. Default: the step at which the rim of the mask moves by two voxels.
    angle_range : tuple of (float, float)
        Angles of a 2D set in degrees.
    symmetry : str
        Symmetry group of a 3D template.
    score : str
        Name of the score, or "auto".
    interpolation : int
        1 or 3.
    lowpass : float or "auto", optional
        Search with the template without what is finer than this part of the Nyquist frequency; "auto" for the lowest
        that costs no more than a hundredth of the signal. Default: all detail counts.
    precision : str
        "single" or "double".
    fft : str
        "scipy", "fftw", or "auto" for FFTW where it is installed.
    pad_edges : bool
        Also score positions at which the template sticks out of the target.
    score_threshold : float
        Scores up to this are not recorded.
    engine : str
        "exact", "compressed", or "auto" for the faster of the two that can do the search.
    tolerance : float
        Of the compressed engine: how much of the turned templates its bases may leave out (root mean square).
    cell_angle : float, optional
        Of the compressed engine: spacing of its cells in degrees; by default the fastest that was measured.
    threshold, false_positives, min_distance, boundary, top, subpixel, refine
        How picks are called; see `PickOptions`. `min_distance` defaults to half the smallest extent of the
        mask.
    channel, gray, pages
        How colour and multi-page files are read.
    pixel_size : float, optional
        Overrides the pixel size that files state.
    max_pixels : int, optional
        Images with more pixels are not decoded. Default: `scorefold.io.MAX_DECODED_PIXELS`.
    memory_limit : int
        Bytes per worker.
    workers : int
        Number of workers to plan for.
    """

    targets: Sequence[Any]
    template: Any
    mask: Any = "none"
    mask_radius: float | tuple[float, ...] | None = None
    mask_edge: float = 0.0
    target_mask: Any = None
    rotations: Any = None
    step: float | None = None
    angle_range: tuple[float, float] = (0.0, 360.0)
    symmetry: str = "C1"
    score: str = "auto"
    interpolation: int = 3
    lowpass: float | str | None = None
    precision: str = "single"
    fft: str = "auto"
    pad_edges: bool = False
    score_threshold: float = 0.0
    engine: str = "exact"
    tolerance: float = 0.3
    cell_angle: float | None = None
    threshold: float | str = "auto"
    false_positives: float = 1.0
    min_distance: float | None = None
    boundary: int = 0
    top: int | None = None
    subpixel: bool = True
    refine: bool = True
    channel: int | None = None
    gray: bool = False
    pages: Literal["auto", "batch", "volume"] = "auto"
    pixel_size: float | None = None
    max_pixels: int | None = None
    memory_limit: int = DEFAULT_MEMORY_LIMIT
    workers: int = 1
