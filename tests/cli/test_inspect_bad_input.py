"""Whatever is wrong with an inspection: exit code 2, one line that names it and the remedy, and nothing written."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

SERIAL = ("-o", "out", "--scheduler", "serial")
TRAIN = ("inspect", "train", "good", *SERIAL)
RUN = ("inspect", "run", "lot", "--model", "model", *SERIAL)
MAPS = ("inspect", "maps", "map.npy", "--threshold", "0.5", *SERIAL)


@dataclass(frozen=True)
class Case:
    """A bad input: files to make, the command, and what the message must say."""

    name: str
    command: tuple[str, ...]
    says: tuple[str, ...]
    make: Callable[[], object] = field(default=lambda: None)


def train_on(*images: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
    return ("inspect", "train", *images, *SERIAL, *options)


def run_on(*images: str, model: str = "model") -> tuple[str, ...]:
    return ("inspect", "run", *images, "--model", model, *SERIAL)


def maps_of(name: str, *options: str, threshold: str = "0.5") -> tuple[str, ...]:
    return ("inspect", "maps", name, "--threshold", threshold, *SERIAL, *options)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, shape, np.uint8)


def folder_of(name: str, *images: np.ndarray) -> Callable[[], None]:
    def make() -> None:
        Path(name).mkdir()
        for number, image in enumerate(images):
            cv2.imwrite(f"{name}/{number}.png", image)

    return make


def saved(name: str, array: np.ndarray) -> Callable[[], None]:
    return lambda: np.save(name, array)


def written(name: str, content: str | bytes) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def cut(name: str, image: np.ndarray) -> Callable[[], object]:
    """Write the first half of a PNG."""
    encoded = cv2.imencode(".png", image)[1].tobytes()
    return written(name, encoded[: len(encoded) // 2])


def map_file(*maps: np.ndarray) -> Callable[[], None]:
    return saved("map.npy", np.array(maps or [np.zeros((20, 30))], np.float32))


FLAT = np.full((48, 56), 90, np.uint8)

INPUTS = [
    Case("missing good images", train_on("nowhere/*.png"), ("nowhere", "Check the path")),
    Case("missing images", run_on("nowhere.png"), ("nowhere.png", "Check the path")),
    Case("missing maps", maps_of("nowhere.npy"), ("nowhere.npy", "Check the path")),
    Case("empty folder of good images", train_on("bare"), ("bare", ".png"), folder_of("bare")),
    Case("empty folder of images", run_on("bare"), ("bare", ".png"), folder_of("bare")),
    Case("no good images, no model", ("inspect", "train", *SERIAL), ("good images", "none given")),
    Case(
        "truncated good image",
        train_on("cut.png"),
        ('image "cut', "truncated"),
        cut("cut.png", noise(48, 56)),
    ),
    Case("truncated image", run_on("cut.png"), ('image "cut', "truncated"), cut("cut.png", noise(48, 56))),
    Case(
        "truncated map",
        maps_of("cut.npy"),
        ("cut.npy",),
        written("cut.npy", b"\x93NUMPY\x01\x00v\x00{'descr'"),
    ),
    Case(
        "truncated archive", maps_of("cut.npz"), ("cut.npz", "truncated"), written("cut.npz", b"PK\x03\x04")
    ),
    Case("no image", run_on("text.png"), ('image "text', "PNG"), written("text.png", "no image")),
    Case(
        "wrong shape everywhere",
        run_on("small"),
        ('image "0"', "(9, 9)", "(48, 56)", "Of 2, 2 were tried"),
        folder_of("small", noise(9, 9), noise(9, 9)),
    ),
    Case(
        "good images of many sizes",
        train_on("odd"),
        ("two good images of one size", "single"),
        folder_of("odd", noise(9, 9), noise(8, 9), noise(9, 8)),
    ),
    Case("one good image", train_on("good/g0.png"), ("method standard", "--method single")),
    Case("two images for method single", train_on("good", options=("--method", "single")), ("single", "6")),
    Case(
        "colour without channel",
        train_on("rgb"),
        ("0.png", "--channel", "--gray"),
        folder_of("rgb", noise(48, 56, 3), noise(48, 56, 3)),
    ),
    Case(
        "colour images to inspect",
        run_on("rgb"),
        ("0.png", "--channel", "--gray"),
        folder_of("rgb", noise(48, 56, 3)),
    ),
    Case(
        "channel out of range",
        (*run_on("rgb"), "--channel", "3"),
        ("0.png", "channel 3"),
        folder_of("rgb", noise(48, 56, 3)),
    ),
    Case("channel and gray", (*TRAIN, "--channel", "0", "--gray"), ("--channel", "not both")),
    Case(
        "constant good images",
        train_on("flat"),
        ('image "0"', "all pixels are equal"),
        folder_of("flat", FLAT, FLAT),
    ),
    Case(
        "constant images with gain and offset",
        train_on("flat", options=("--gain-offset",)),
        ("gain and offset", "constant"),
        folder_of("flat", FLAT, FLAT),
    ),
    Case(
        "grey levels of another range",
        train_on("f.npy"),
        ('image "f_0"', "range"),
        saved("f.npy", noise(2, 48, 56).astype(np.float32)),
    ),
    Case(
        "images of another range than the model's",
        run_on("f.npy"),
        ('image "f"', "0 to 255"),
        saved("f.npy", 300 * noise(48, 56).astype(np.uint16)),
    ),
    Case(
        "NaN images",
        train_on("n.npy", options=("--value-range", "0,1")),
        ('image "n_0"', "finite"),
        saved("n.npy", np.full((2, 48, 56), np.nan)),
    ),
    Case(
        "NaN images to inspect",
        run_on("n.npy"),
        ('image "n"', "finite"),
        saved("n.npy", np.full((48, 56), np.nan)),
    ),
    Case("NaN maps", MAPS, ('map "map_0"', "finite"), map_file(*np.full((2, 20, 30), np.nan))),
    Case("complex maps", MAPS, ("map.npy", "complex"), saved("map.npy", np.ones((20, 30), complex))),
    Case("maps with four axes", MAPS, ("map.npy", "4 axes"), saved("map.npy", np.ones((2, 1, 20, 30)))),
    Case(
        "objects as maps",
        MAPS,
        ("map.npy",),
        lambda: np.save("map.npy", np.array([[None]]), allow_pickle=True),
    ),
    Case(
        "images of other names than maps",
        maps_of("map.npy", "--images", "lot"),
        ("images", "none is named"),
        map_file(),
    ),
    Case("no images of maps", maps_of("map.npy", "--images", "nowhere"), ("nowhere",), map_file()),
]

TRUTHS = [
    Case("masks and labels", (*RUN, "--masks", "masks", "--labels", "labels.csv"), ("masks and labels", "one of them")),
    Case("missing masks", (*RUN, "--masks", "nowhere"), ("masks", "nowhere")),
    Case("empty folder of masks", (*RUN, "--masks", "bare"), ("masks", "bare"), folder_of("bare")),
    Case("masks that match nothing", (*RUN, "--masks", "other"), ('masks "other"', "none is named like an image"),
         folder_of("other", FLAT)),
    Case("broken mask", (*RUN, "--masks", "masks"), ("t1_mask.png", "truncated"), cut("masks/t1_mask.png", FLAT)),
    Case("mask of another shape", (*RUN, "--masks", "masks"), ("t1_mask.png", "(9, 9)", "(48, 56)"),
         lambda: cv2.imwrite("masks/t1_mask.png", noise(9, 9))),
    Case("missing labels", (*RUN, "--labels", "no.csv"), ('labels "no.csv"', "csv file")),
    Case("labels that are a folder", (*RUN, "--labels", "masks"), ('labels "masks"', "csv file")),
    Case("unknown label", (*RUN, "--labels", "l.csv"), ('labels "l.csv"', "row 2", "ugly"),
         written("l.csv", "name,label\nt0,good\nt1,ugly\n")),
    Case("labels of other images", (*RUN, "--labels", "l.csv"), ('labels "l.csv"', "none of its 2 names"),
         written("l.csv", "a,good\nb,bad\n")),
    Case("no labels in the file", (*RUN, "--labels", "l.csv"), ('labels "l.csv"',), written("l.csv", "")),
    Case("labels that are no text", (*RUN, "--labels", "part.png"), ('labels "part.png"',)),
    Case("one column of labels", (*RUN, "--labels", "l.csv"), ("row 1", "a name and one of"),
         written("l.csv", "good\n")),
    Case("f1 without labels", (*RUN, "--threshold", "f1"), ('threshold "f1"', "--labels")),
    Case("f1 with good images alone", (*RUN, "--threshold", "f1", "--labels", "l.csv"), ('threshold "f1"', "with both"),
         written("l.csv", "t0,good\nt1,good\n")),
    Case("auto without good images", maps_of("map.npy", threshold="auto"), ('threshold "auto"', "--threshold VALUE"),
         map_file()),
    Case("quantile without good images", maps_of("map.npy", threshold="quantile:0.9"), ("good images",),
         map_file()),
]  # fmt: skip

BY_MODEL = [
    Case("missing model", run_on("lot", model="nowhere"), ('nowhere"', "no scorefold run")),
    Case("image as model", run_on("lot", model="part.png"), ("part.png",)),
    Case("folder of images as model", run_on("lot", model="good"), ('good"', "no scorefold run")),
    Case("inspection as model", run_on("lot", model="inspected"), ('inspected"', "kind inspect", "train")),
    Case("add an inspection", (*TRAIN, "--add", "inspected"), ('inspected"', "kind inspect", "train")),
    Case("unfinished model", RUN, ('model"', "not finished", "scorefold resume"),
         lambda: Path("model/commits/learn-model.json").unlink()),
    Case("damaged model", RUN, ('model "model"', "damaged", "scorefold verify --discard model"),
         lambda: damage("model")),
    Case("missing model to add", (*TRAIN, "--add", "nowhere"), ('nowhere"', "no scorefold run")),
    Case("another method than the added model", (*TRAIN, "--add", "model", "--method", "robust"),
         ("method robust", "standard")),
    Case("another tolerance than the added model", (*TRAIN, "--add", "model", "--tolerance", "2"),
         ("--tolerance", "added model")),
    Case("a template beside the added model", (*TRAIN, "--add", "model", "--template", "part.png"),
         ("--template", "added model")),
    Case("images of another size than the added model", ("inspect", "train", "s", "--add", "model", *SERIAL),
         ('image "0"', "(9, 9)"), folder_of("s", noise(9, 9))),
]  # fmt: skip


def damage(run: str) -> None:
    """Turn a byte of every array that was learned."""
    for path in Path(run, "states/learn-model").rglob("c/*"):
        for chunk in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
            data = bytearray(chunk.read_bytes())
            data[len(data) // 2] ^= 0xFF
            chunk.write_bytes(data)


LOCATED = (*TRAIN, "--template", "part.png")
LOCATIONS = [
    Case("missing template", (*TRAIN, "--template", "no.png"), ('template "no.png"', "no such file")),
    Case("template larger than the images", (*TRAIN, "--template", "big.npy"), ('template "big.npy"', "larger", "Crop"),
         saved("big.npy", noise(90, 90))),
    Case("constant template", (*TRAIN, "--template", "flat.npy"), ('template "flat.npy"', "constant"),
         saved("flat.npy", np.ones((20, 20)))),
    Case("NaN template", (*TRAIN, "--template", "nan.npy"), ('template "nan.npy"', "NaN"),
         saved("nan.npy", np.full((20, 20), np.nan))),
    Case("tiny template", (*TRAIN, "--template", "t.npy"), ('template "t.npy"', "8 pixels"),
         saved("t.npy", noise(5, 20))),
    Case("volume as template", (*TRAIN, "--template", "v.npy"), ('template "v.npy"', "2D"),
         saved("v.npy", noise(9, 9, 9))),
    Case("mask without template", (*TRAIN, "--mask", "disk"), ("mask", "--template")),
    Case("mask zero everywhere", (*LOCATED, "--mask", "m.npy"), ("m.npy", "zero"), saved("m.npy", np.zeros((20, 24)))),
    Case("mask of another shape", (*LOCATED, "--mask", "m.npy"), ("m.npy", "(20, 24)"),
         saved("m.npy", np.ones((9, 9)))),
    Case("unknown mask", (*LOCATED, "--mask", "hexagon"), ('mask "hexagon"', "ellipse")),
    Case("a part that is in no image", train_on("n", options=("--template", "part.png")), ("not found", "--min-score"),
         folder_of("n", noise(48, 56), noise(48, 56))),
]  # fmt: skip


def option(base: tuple[str, ...], name: str, value: str, *says: str) -> Case:
    return Case(f"{base[1]} {name} {value or 'empty'}", (*base, name, value), says, map_file())


GAUSSIAN = (*TRAIN, "--method", "gaussian")

NUMBERS = [
    *(option(TRAIN, "--absolute", value, "absolute", "above 0") for value in ("0", "-1", "nan", "inf")),
    *(option(TRAIN, "--factor", value, "factor", "0 or more") for value in ("-1", "nan", "inf")),
    option(TRAIN, "--tolerance", "-1", "tolerance -1", "0 or more"),
    option(TRAIN, "--tolerance", "99999", "tolerance 99999", "23 at most"),
    option(TRAIN, "--tolerance", "1.5", '--tolerance "1.5"', "a whole number"),
    *(option(TRAIN, "--jitter", value, "jitter", "0 or more") for value in ("-1", "nan")),
    *(option(GAUSSIAN, "--cell", value, f"cell {value}", "2 pixels or more") for value in ("1", "-8", "999")),
    *(option(base, "--kernel-size", "-1", "kernel size -1", "0 or more") for base in (TRAIN, RUN, MAPS)),
    *(option(base, "--kernel-size", "5000", "kernel size 5000", "at most") for base in (TRAIN, RUN, MAPS)),
    *(option(LOCATED, "--angle-step", value, "step") for value in ("0", "-3", "nan")),
    *(option(LOCATED, "--min-score", value, "minimum score", "above 0") for value in ("0", "1.5", "nan")),
    option(LOCATED, "--angle-range", "90,0", "angle range"),
    option(LOCATED, "--angle-range", "90", "angle range", "two angles"),
    option(TRAIN, "--angle-range", "a,b", 'angle range "a,b"', "numbers"),
    option(TRAIN, "--value-range", "0", "value range", "two grey levels"),
    option(TRAIN, "--value-range", "a,b", 'value range "a,b"', "numbers"),
    *(option(TRAIN, "--value-range", value, "range") for value in ("9,3", "0,nan", "0,inf")),
    option(TRAIN, "--polarity", "dull", 'polarity "dull"', "bright"),
    option(RUN, "--polarity", "dull", 'polarity "dull"', "bright"),
    option(TRAIN, "--method", "magic", 'method "magic"', "gaussian"),
    *(
        option(RUN, "--threshold", value, f'threshold "{value}"', "quantile:FRACTION")
        for value in ("high", "", "f2", "best:3")
    ),
    option(RUN, "--threshold", "nan", "threshold nan", "finite"),
    *(option(RUN, "--threshold", value, "threshold", "from 0 to 1") for value in ("quantile:2", "fp:-1")),
    option(RUN, "--threshold", "sigma:-1", "threshold sigma:-1", "0 or more"),
    *(option(base, "--min-area", "0", "minimum area 0", "1 or more") for base in (RUN, MAPS)),
    option(RUN, "--min-area", "x", '--min-area "x"', "a whole number"),
    option(RUN, "--precision", "double", 'precision "double"', "half"),
    option(RUN, "--export", "maps,movies", 'export "movies"', "masks"),
    option(RUN, "--channel", "-1", "channel -1"),
    *(option(base, "--memory-limit", "much", "memory limit", "600MiB") for base in (TRAIN, RUN, MAPS)),
    *(option(base, "--memory-limit", "1MiB", "memory limit", "Raise --memory-limit") for base in (TRAIN, RUN, MAPS)),
    *(option(base[:-2], "--workers", "0", "workers 0", "1 or more") for base in (TRAIN, RUN, MAPS)),
    option(RUN, "--workers", "2", "workers and scheduler", "one of them"),
    option(RUN, "--scheduler", "not an address", "not an address", "--scheduler"),
]  # fmt: skip

USAGE = [
    *(Case(f"{base[1]}: output exists", (*base, "-o", "good"), ('"good"', "new --out")) for base in (TRAIN, RUN, MAPS)),
    Case("output is a file", (*RUN, "-o", "part.png"), ('"part.png"', "new --out")),
    Case("file as parent of the output", (*RUN, "-o", "part.png/run"), ("part.png/run", "not a directory")),
    Case("output of an earlier run", (*TRAIN, "-o", "model"), ('"model"', "scorefold resume")),
    Case("no output", RUN[:5], ("--out", "missing")),
    Case("no model", ("inspect", "run", "lot", "-o", "out"), ("--model", "missing")),
    Case("no images", ("inspect", "run", "--model", "model", "-o", "out"), ("IMAGES", "missing")),
    Case("no maps", ("inspect", "maps", "-o", "out"), ("MAPS", "missing")),
    Case("unknown command", ("inspect", "trian"), ('command "trian"', "Did you mean train?")),
    Case("unknown option", (*RUN, "--treshold", "1"), ('option "--treshold"', "Did you mean --threshold?")),
    Case("an option of training", (*RUN, "--factor", "1"), ('option "--factor"', "unknown")),
    Case("polarity of maps", (*MAPS, "--polarity", "dark"), ('option "--polarity"', "unknown")),
]  # fmt: skip

EVERY = [*INPUTS, *TRUTHS, *BY_MODEL, *LOCATIONS, *NUMBERS, *USAGE]


@pytest.mark.parametrize("case", EVERY, ids=lambda case: case.name)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(
    case, lot, inspected, scorefold, contents, check_refused
):
    case.make()
    before = contents(lot)
    check_refused(scorefold(*case.command), case.says)
    assert contents(lot) == before


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("evaluate", "inspected"), ('run "inspected"', "--masks or --labels")),
        (("evaluate", "inspected", "--masks", "nowhere"), ("masks", "nowhere")),
        (("evaluate", "inspected", "--masks", "masks", "--labels", "labels.csv"), ("one of them",)),
        (("evaluate", "model", "--masks", "masks"), ("kind train", "inspect")),
        (("evaluate", "nowhere", "--masks", "masks"), ('nowhere"', "no scorefold run")),
        (("render", "inspected", "--threshold", "high"), ('threshold "high"', "quantile:FRACTION")),
        (("render", "inspected", "--threshold", "f1"), ('threshold "f1"', "--labels")),
        (("render", "inspected", "--min-area", "0"), ("minimum area 0", "1 or more")),
        (("render", "inspected", "--top", "3"), ("--top", "is an inspection", "--min-area")),
        (("render", "inspected", "--whole-pixel"), ("--subpixel", "is an inspection")),
        (("render", "inspected", "--min-distance", "3"), ("--min-distance", "is an inspection")),
        (("render", "model"), ('run "model"', "training")),
        (("render", "inspected", "--workers", "0"), ("workers 0", "1 or more")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_finished_inspection_is_left_alone(
    command, says, lot, inspected, scorefold, contents, check_refused
):
    before = contents(lot)
    check_refused(scorefold(*command), says)
    assert contents(lot) == before


def test_a_search_has_no_defects_to_measure(finished_run, scorefold, contents, check_refused):
    before = contents(finished_run)
    ended = scorefold("render", "run", "--min-area", "3")
    check_refused(ended, ("--min-area", "is a search", "--threshold, --false-positives"))
    check_refused(scorefold("evaluate", "run", "--masks", "."), ("kind match", "inspect"))
    check_refused(
        scorefold("inspect", "run", "good.png", "--model", "run", "-o", "out"), ("kind match", "train")
    )
    assert contents(finished_run) == before


def test_masks_of_one_name_are_not_guessed_at(lot, scorefold, check_refused):
    for place in ("one", "two"):
        shutil.copytree("masks", f"all/{place}")
    check_refused(scorefold(*RUN, "--masks", "all"), ('masks "all"', 't1"', "folders"))


@pytest.mark.parametrize("damage", [b"", b"{", b"[1, 2]"], ids=["empty", "cut", "other"])
@pytest.mark.parametrize("name", ["job/plan.json", "zarr.json"])
def test_an_inspection_with_a_damaged_job_is_refused_unchanged(
    lot, inspected, scorefold, contents, check_refused, name, damage
):
    (inspected / name).write_bytes(damage)
    before = contents(inspected)
    for command in ("resume", "render", "status", "gc", "evaluate"):
        options = ("--masks", "masks") if command == "evaluate" else ()
        check_refused(scorefold(command, "inspected", *options), ('run "',))
    assert contents(inspected) == before


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"[1, 2]"], ids=["empty", "cut", "other"])
def test_an_inspection_with_a_damaged_table_of_images_is_refused_unchanged(
    lot, inspected, scorefold, contents, check_refused, damage
):
    (inspected / "job/images.parquet").write_bytes(damage)
    before = contents(inspected)
    check_refused(scorefold("status", "inspected"), ("job/images.parquet", "damaged"))
    check_refused(scorefold("evaluate", "inspected", "--masks", "masks"), ("job/images.parquet", "damaged"))
    assert contents(inspected) == before
