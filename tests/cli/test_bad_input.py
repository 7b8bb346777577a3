"""Whatever is wrong with the input: exit code 2, one line that names it and the remedy, and nothing written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import pytest
import tifffile

from scorefold.cluster import local

MATCH = ("match", "good.png", "-t", "part.png", "-o", "run", "--step", "90", "--scheduler", "serial")


def as_target(name: str) -> tuple[str, ...]:
    return ("match", name, *MATCH[2:])


def with_options(*options: str) -> tuple[str, ...]:
    """The good command with options that come later and so win."""
    return (*MATCH, *options)


@dataclass(frozen=True)
class Case:
    """A bad input: files to make, the command, and what the message must say."""

    name: str
    command: tuple[str, ...]
    says: tuple[str, ...]
    make: Callable[[], object] = field(default=lambda: None)


def png_of(array: np.ndarray) -> bytes:
    return cv2.imencode(".png", array)[1].tobytes()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def cut(name: str, write: Callable[[str], object], keep: float = 0.6) -> Callable[[], None]:
    """Write a file, then cut it short."""

    def make() -> None:
        write(name)
        whole = Path(name).read_bytes()
        Path(name).write_bytes(whole[: int(len(whole) * keep)])

    return make


def save_image(name: str) -> None:
    cv2.imwrite(name, np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8))


def save_mrc(name: str) -> None:
    with mrcfile.new(name, noise(8, 16, 16)) as file:
        file.set_volume()


def saved(name: str, array: np.ndarray) -> Callable[[], None]:
    return lambda: np.save(name, array, allow_pickle=True)


def written(name: str, text: str | bytes) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())


with_nan = noise(48, 48)
with_nan[3, 4] = np.nan
reflection = np.array([[[1.0, 0.0], [0.0, -1.0]]])

FILES = [
    Case("missing target", as_target("nowhere.png"), ("nowhere.png", "Check the path")),
    Case("missing template", with_options("-t", "no.png"), ('template "no.png"', "no such file")),
    Case("missing mask", with_options("--mask", "no-mask.png"), ('mask "no-mask.png"', "ellipse")),
    Case(
        "missing target mask",
        with_options("--score", "MCC", "--target-mask", "tm.png"),
        ('target mask "tm.png"', "no such file"),
    ),
    Case(
        "missing rotations",
        ("match", "good.png", "-t", "part.png", "-o", "run", "--rotations", "r.npy"),
        ("r.npy", "Check the path"),
    ),
    Case("empty file", as_target("empty.png"), ("empty.png",), written("empty.png", b"")),
    Case("truncated PNG", as_target("cut.png"), ("cut.png",), cut("cut.png", save_image)),
    Case(
        "truncated PNG template",
        with_options("-t", "cut.png"),
        ('template "cut.png"',),
        cut("cut.png", save_image),
    ),
    Case(
        "truncated TIFF",
        as_target("cut.tif"),
        ("cut.tif",),
        cut("cut.tif", lambda name: tifffile.imwrite(name, noise(64, 64))),
    ),
    Case(
        "truncated NPY",
        as_target("cut.npy"),
        ("cut.npy",),
        cut("cut.npy", lambda name: np.save(name, noise(64, 64))),
    ),
    Case("truncated MRC", as_target("cut.mrc"), ("cut.mrc",), cut("cut.mrc", save_mrc)),
    Case("text named .png", as_target("text.png"), ("text.png",), written("text.png", "this is no image\n")),
    Case("text named .tif", as_target("text.tif"), ("text.tif",), written("text.tif", "this is no image\n")),
    Case("unknown format", as_target("a.docx"), ("a.docx", ".png"), written("a.docx", "x")),
    Case("directory without images", as_target("bare"), ("bare",), lambda: Path("bare").mkdir()),
    Case("glob without match", as_target("*.jpeg2"), ("*.jpeg2",)),
    Case("empty name", as_target(""), ("empty name",)),
    Case(
        "volume template, image target",
        with_options("-t", "v.npy"),
        ("2D", "3D"),
        saved("v.npy", noise(5, 5, 5)),
    ),
    Case(
        "template larger than target",
        with_options("-t", "big.npy"),
        ("good", "Crop"),
        saved("big.npy", noise(90, 90)),
    ),
    Case(
        "template of one row",
        with_options("-t", "row.npy"),
        ("row.npy", "at least 2"),
        saved("row.npy", noise(1, 9)),
    ),
    Case("NaN target", as_target("nan.npy"), ('"nan"', "NaN"), saved("nan.npy", with_nan)),
    Case(
        "NaN template",
        with_options("-t", "nan.npy"),
        ('template "nan.npy"', "NaN"),
        saved("nan.npy", with_nan[:9, :9]),
    ),
    Case("constant target", as_target("flat.npy"), ('"flat"', "equal"), saved("flat.npy", np.ones((48, 48)))),
    Case(
        "constant template",
        with_options("-t", "flat.npy"),
        ('template "flat.npy"', "constant"),
        saved("flat.npy", np.ones((9, 9))),
    ),
    Case("objects", as_target("o.npy"), ("o.npy",), saved("o.npy", np.array([[1, None], [2, 3]], object))),
    Case(
        "complex target", as_target("c.npy"), ("c.npy", "complex"), saved("c.npy", np.ones((48, 48), complex))
    ),
    Case(
        "complex template",
        with_options("-t", "c.npy"),
        ("c.npy", "complex"),
        saved("c.npy", np.ones((9, 9), complex)),
    ),
    Case("one axis", as_target("line.npy"), ("line.npy",), saved("line.npy", noise(48))),
    Case(
        "mask zero everywhere",
        with_options("--mask", "m.npy"),
        ("m.npy", "zero"),
        saved("m.npy", np.zeros((11, 11))),
    ),
    Case(
        "mask of another shape",
        with_options("--mask", "m.npy"),
        ("m.npy", "(11, 11)"),
        saved("m.npy", np.ones((9, 9))),
    ),
    Case(
        "mask above 1",
        with_options("--mask", "m.npy"),
        ("m.npy", "[0, 1]"),
        saved("m.npy", 2.5 * noise(11, 11)),
    ),
    Case(
        "mask file with a radius",
        with_options("--mask", "m.npy", "--mask-radius", "3"),
        ("mask radius",),
        saved("m.npy", np.ones((11, 11))),
    ),
    Case(
        "target mask of another shape",
        with_options("--score", "MCC", "--target-mask", "m.npy"),
        ("target mask", "(9, 9)"),
        saved("m.npy", np.ones((9, 9))),
    ),
    Case(
        "target mask with a score that ignores it",
        with_options("--score", "FLC", "--target-mask", "m.npy"),
        ("target mask", "MCC"),
        saved("m.npy", np.ones((48, 48))),
    ),
    Case(
        "RGB without channel",
        as_target("rgb.png"),
        ("rgb.png", "--channel"),
        lambda: cv2.imwrite("rgb.png", np.zeros((48, 48, 3), np.uint8)),
    ),
    Case(
        "channel out of range",
        (*as_target("rgb.png"), "--channel", "7"),
        ("rgb.png", "7"),
        lambda: cv2.imwrite("rgb.png", np.zeros((48, 48, 3), np.uint8)),
    ),
    Case(
        "output exists",
        with_options("-o", "full"),
        ('"full"', "new --out"),
        lambda: (Path("full").mkdir(), Path("full/x").write_text("kept")),
    ),
    Case("output is a file", with_options("-o", "part.png"), ('"part.png"', "new --out")),
    Case(
        "file as parent of the output",
        with_options("-o", "part.png/run"),
        ("part.png/run", "not a directory"),
    ),
    Case("no output", with_options("-o", ""), ("output", "--out")),
    Case("output at an unknown kind of URL", with_options("-o", "gopher://a/b"), ("gopher://a/b",)),
]

NO_STEP = ("match", "good.png", "-t", "part.png", "-o", "run", "--scheduler", "serial")
ROTATIONS = [
    Case(
        "reflection", (*NO_STEP, "--rotations", "r.npy"), ("r.npy", "determinant"), saved("r.npy", reflection)
    ),
    Case(
        "sheared",
        (*NO_STEP, "--rotations", "r.npy"),
        ("r.npy", "orthonormal"),
        saved("r.npy", 1.1 * np.eye(2)[None]),
    ),
    Case(
        "3D for 2D",
        (*NO_STEP, "--rotations", "r.npy"),
        ("r.npy", "(n, 2, 2)"),
        saved("r.npy", np.eye(3)[None]),
    ),
    Case("none", (*NO_STEP, "--rotations", "r.npy"), ("r.npy", "empty"), saved("r.npy", np.zeros((0, 2, 2)))),
    Case(
        "wrong columns",
        (*NO_STEP, "--rotations", "r.csv"),
        ("r.csv", "angle"),
        written("r.csv", "winkel\n3\n"),
    ),
    Case("no rows", (*NO_STEP, "--rotations", "r.csv"), ("r.csv", "row"), written("r.csv", "angle\n")),
    Case("empty csv", (*NO_STEP, "--rotations", "r.csv"), ("r.csv",), written("r.csv", "")),
    Case(
        "no number", (*NO_STEP, "--rotations", "r.csv"), ("r.csv", "line 2"), written("r.csv", "angle\nx\n")
    ),
    Case("not STAR", (*NO_STEP, "--rotations", "r.star"), ("r.star",), written("r.star", "hello\n")),
    Case("other format", (*NO_STEP, "--rotations", "r.txt"), ("r.txt", ".csv"), written("r.txt", "0\n")),
    Case("both", (*MATCH, "--rotations", "r.csv"), ("rotations", "step"), written("r.csv", "angle\n0\n")),
]


def option(name: str, value: str, *says: str, base: tuple[str, ...] = MATCH) -> Case:
    return Case(f"{name} {value or 'empty'}", (*base, name, value), says)


OPTIONS = [
    *(option("--step", value, "step", value) for value in ("0", "-3", "nan", "inf")),
    option("--step", "x", '--step "x"', "a number"),
    option("--angle-range", "0", "angle range", "two angles"),
    option("--angle-range", "a,b", 'angle range "a,b"', "numbers"),
    option("--angle-range", "90,0", "angle range", "Add 360"),
    option("--angle-range", "0,900", "angle range", "at most 360"),
    option("--angle-range", "0,nan", "angle range", "finite"),
    option("--mask", "hexagon", 'mask "hexagon"', "ellipse"),
    option("--mask-radius", "x", 'mask radius "x"', "numbers"),
    Case("radius 0", with_options("--mask", "disk", "--mask-radius", "0"), ("mask radius", "positive")),
    Case("three radii", with_options("--mask", "box", "--mask-radius", "1,2,3"), ("mask radius", "3 values")),
    Case("edge -1", with_options("--mask", "disk", "--mask-edge", "-1"), ("mask edge -1", "0 or more")),
    option("--mask-edge", "soft", '--mask-edge "soft"', "a number"),
    option("--score", "XCORR", "XCORR", "FLC"),
    option("--score", "CAM", "CAM", "mask"),
    option("--interpolation", "2", "interpolation", "1", "3"),
    option("--precision", "half", 'precision "half"', "single"),
    option("--fft", "mkl", "mkl", "scipy"),
    option("--score-threshold", "nan", "score threshold", "finite"),
    option("--threshold", "high", 'threshold "high"', "auto"),
    option("--threshold", "nan", "threshold nan", "finite"),
    *(option("--false-positives", value, "false positives", "positive") for value in ("0", "-1", "nan")),
    option("--min-distance", "-1", "distance -1", "0 or more"),
    option("--boundary", "-1", "boundary -1", "0 or more"),
    option("--boundary", "1.5", '--boundary "1.5"', "a whole number"),
    option("--top", "0", "top 0", "1 or more"),
    option("--memory-limit", "much", 'memory limit "much"', "600MiB"),
    option("--memory-limit", "-1GiB", "memory limit", "600MiB"),
    option("--memory-limit", "1KiB", "memory limit", "Raise --memory-limit"),
    option("--channel", "-1", "channel -1"),
    option("--pages", "nonsense", "nonsense", "batch"),
    *(option("--pixel-size", value, "pixel size", "--pixel-size") for value in ("0", "-2", "nan")),
    *(option("--workers", value, f"workers {value}", "1 or more", base=MATCH[:-2]) for value in ("0", "-3")),
    option("--workers", "2", "workers and scheduler", "one of them"),
    option("--scheduler", "not an address", "not an address", "--scheduler"),
    Case(
        "symmetry Z9",
        ("match", "v.npy", "-t", "p.npy", "-o", "run", "--step", "30", "--symmetry", "Z9"),
        ("symmetry 'Z9'", "C1"),
        lambda: (np.save("v.npy", noise(16, 16, 16)), np.save("p.npy", noise(5, 5, 5))),
    ),
]

USAGE = [
    Case("unknown command", ("mtach",), ('command "mtach"', "match")),
    Case("unknown option", (*MATCH, "--treshold", "3"), ('option "--treshold"', "Did you mean --threshold?")),
    Case("missing template option", ("match", "good.png", "-o", "run"), ("--template", "missing")),
    Case("missing out option", ("match", "good.png", "-t", "part.png"), ("--out", "missing")),
    Case("missing targets", ("match", "-t", "part.png", "-o", "run"), ("TARGETS", "missing")),
    Case("option without value", ("match", "good.png", "-t"), ("-t", "needs a value")),
    Case("flag with value", ("match", "good.png", "--gray=3"), ("--gray", "takes no value")),
    Case("too many arguments", ("status", "a", "b"), ("(b)",)),
    Case("status of an image", ("status", "part.png"), ("part.png",)),
]

RUN_COMMANDS = ("status", "resume", "verify", "gc", "render")
NO_RUNS = [
    Case(f"{command} of {name}", (command, name), ('run "', name))
    for command in RUN_COMMANDS
    for name in (".", "nothing")
]


@pytest.mark.parametrize("case", [*FILES, *ROTATIONS, *OPTIONS, *USAGE, *NO_RUNS], ids=lambda case: case.name)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(
    case, folder, scorefold, contents, check_refused
):
    case.make()
    before = contents(folder)
    check_refused(scorefold(*case.command), case.says)
    assert contents(folder) == before


def test_a_run_is_never_overwritten(finished_run, scorefold, quick, contents, check_refused):
    before = contents(finished_run)
    ended = scorefold("match", "good.png", "-t", "part.png", "-o", "run", *quick)
    check_refused(ended, ('output "run"', "scorefold resume"))
    assert contents(finished_run) == before


@pytest.mark.parametrize("name", ["job/plan.json", "job/targets.json", "zarr.json"])
@pytest.mark.parametrize("damage", [b"", b"{", b"[1, 2]"], ids=["empty", "cut", "other"])
def test_a_run_with_a_damaged_job_is_refused_unchanged(
    finished_run, scorefold, name, damage, contents, check_refused
):
    (finished_run / name).write_bytes(damage)
    before = contents(finished_run)
    for command in ("resume", "render", "status", "gc"):
        check_refused(scorefold(command, "run"), ('run "',))
    assert contents(finished_run) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--threshold", "high"), 'threshold "high"'),
        (("--top", "0"), "top 0"),
        (("--false-positives", "0"), "false positives 0"),
        (("--min-distance", "-1"), "distance -1"),
        (("--boundary", "-1"), "boundary -1"),
        (("--workers", "0"), "workers 0"),
        (("--scheduler", "tcp://"), "tcp://"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_render_with_bad_options_leaves_the_run_alone(
    finished_run, scorefold, options, says, contents, check_refused
):
    before = contents(finished_run)
    check_refused(scorefold("render", "run", *options), (says,))
    assert contents(finished_run) == before


def test_an_unwritable_folder_is_refused_before_anything_is_read(
    folder, scorefold, monkeypatch, check_refused
):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # permissions do not stop root
    check_refused(scorefold(*MATCH), ('output "run"', "cannot be written"))


def test_of_two_broken_targets_the_first_is_named_and_the_other_counted(folder, scorefold, check_refused):
    for name in ("a.png", "b.png"):
        Path(name).write_bytes(b"no image")
    ended = scorefold("match", "a.png", "b.png", "-t", "part.png", "-o", "run")
    check_refused(ended, ('target "a.png"', "1 more"))


def test_the_console_script_refuses_alike(folder, scorefold_process, contents, check_refused):
    before = contents(folder)
    check_refused(scorefold_process(*with_options("--top", "0")), ("top 0",))
    assert contents(folder) == before


def test_a_scheduler_that_does_not_answer_is_given_up_on(
    folder, scorefold, contents, check_refused, monkeypatch
):
    monkeypatch.setattr(local, "connected", partial(local.connected, timeout=0.5))
    before = contents(folder)
    # Port 1 of this machine refuses at once; the client keeps trying until its time is over.
    check_refused(
        scorefold(*MATCH[:-2], "--scheduler", "tcp://127.0.0.1:1"), ("tcp://127.0.0.1:1", "scheduler")
    )
    assert contents(folder) == before


@pytest.mark.parametrize("arguments", [(), ("demo",)], ids=["scorefold", "demo"])
def test_without_a_command_the_help_is_shown(scorefold, arguments):
    ended = scorefold(*arguments)
    assert ended.code == 2
    assert "Usage" in ended.out
    assert ended.err == ""


def test_debug_shows_the_traceback(folder, scorefold, monkeypatch):
    with pytest.raises(ValueError, match="top 0"):
        scorefold(*with_options("--top", "0", "--debug"))
