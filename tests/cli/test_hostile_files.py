"""Files made to run code or to write elsewhere: each is refused in one line, or is an image like any other."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

import scorefold as package

pytestmark = pytest.mark.timeout(120)

SERIAL = ("--scheduler", "serial")

ESCAPING = (
    "../../escaped",
    "/tmp/escaped",
    "..\\..\\escaped",
    "a/../../../escaped",
    "<script>alert(1)</script>",
    "=cmd|' !A1",
    "line\nbreak",
    "n" * 240,
    "..",
    "zarr.json",
)


class Payload:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return Path.touch, (Path(self.trace),)


@pytest.fixture
def trace(folder):
    """A file that exists if anything has been unpickled."""
    path = folder.parent / "was-here"
    pickle.loads(pickle.dumps(Payload(path)))
    assert path.exists(), "the payload works"
    path.unlink()
    yield path
    assert not path.exists()


def save_object_array(path, trace):
    array = np.full((48, 48), None, dtype=object)
    array[0, 0] = Payload(trace)
    np.save(path, array, allow_pickle=True)


def save_raw_pickle(path, trace):
    Path(path).write_bytes(pickle.dumps(Payload(trace)))


def save_object_archive(path, trace):
    with Path("objects.npy").open("wb") as file:
        save_object_array(file, trace)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write("objects.npy")


def save_pickled_chunks(path, trace, **codecs):
    """Write an array of Zarr 2 whose chunk is a pickle, as its metadata say."""
    folder = Path(path)
    folder.mkdir()
    metadata = {"shape": [48, 48], "chunks": [48, 48], "fill_value": 0, "order": "C", "zarr_format": 2}
    (folder / ".zarray").write_text(json.dumps({**metadata, **codecs}))
    (folder / "0.0").write_bytes(pickle.dumps(Payload(trace)))


def save_zarr_3(path, trace):
    folder = Path(path)
    zarr.create_array(folder, shape=(48, 48), chunks=(48, 48), dtype="float32")
    metadata = json.loads((folder / "zarr.json").read_text())
    metadata["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}, *metadata["codecs"]]
    (folder / "zarr.json").write_text(json.dumps(metadata))
    (folder / "c" / "0").mkdir(parents=True)
    (folder / "c" / "0" / "0").write_bytes(pickle.dumps(Payload(trace)))


PICKLE, ZLIB = {"id": "pickle"}, {"id": "zlib", "level": 1}
MALICIOUS = {
    "npy": ("evil.npy", save_object_array),
    "raw pickle": ("evil.npy", save_raw_pickle),
    "npz": ("evil.npz", save_object_archive),
    "raw pickle as npz": ("evil.npz", save_raw_pickle),
    "zarr 3": ("evil.zarr", save_zarr_3),
    **{
        f"zarr 2, {name}": ("evil.zarr", lambda *place, codecs=codecs: save_pickled_chunks(*place, **codecs))
        for name, codecs in {
            "objects": {"dtype": "|O", "filters": [PICKLE], "compressor": None},
            "floats": {"dtype": "<f4", "filters": [PICKLE], "compressor": None},
            "compressor": {"dtype": "<f4", "filters": None, "compressor": PICKLE},
            "behind another": {"dtype": "<f4", "filters": [ZLIB, PICKLE], "compressor": None},
            "before another": {"dtype": "<f4", "filters": [PICKLE, ZLIB], "compressor": None},
            "behind text": {"dtype": "|O", "filters": [{"id": "vlen-utf8"}], "compressor": PICKLE},
        }.items()
    },
}


@pytest.mark.parametrize(("name", "save"), MALICIOUS.values(), ids=MALICIOUS)
def test_a_pickle_in_a_file_is_refused_and_not_read(folder, scorefold, trace, check_refused, name, save):
    save(name, trace)
    uses = [
        ("match", name, "-t", "part.png", "-o", "run", *SERIAL),
        ("match", "good.png", "-t", name, "-o", "run", *SERIAL),
        ("inspect", "maps", name, "--threshold", "0.5", "-o", "run", *SERIAL),
        ("inspect", "train", name, "-o", "run", *SERIAL),
    ]
    if Path(name).is_file():
        uses += [
            ("match", "good.png", "-t", "part.png", "--mask", name, "-o", "run", *SERIAL),
            (
                "match",
                "good.png",
                "-t",
                "part.png",
                "--target-mask",
                name,
                "--score",
                "MCC",
                "-o",
                "run",
                *SERIAL,
            ),
            ("match", "good.png", "-t", "part.png", "--rotations", name, "-o", "run", *SERIAL),
        ]
    for arguments in uses:
        check_refused(scorefold(*arguments), ("evil",))
        assert not trace.exists()


def test_a_damaged_run_with_a_pickle_for_an_array_is_not_unpickled(finished_run, scorefold, trace):
    metadata_path = finished_run / "template" / "zarr.json"
    metadata = json.loads(metadata_path.read_text())
    metadata["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}, *metadata["codecs"]]
    metadata_path.write_text(json.dumps(metadata))
    for chunk in (finished_run / "template").rglob("c/*/*"):
        chunk.write_bytes(pickle.dumps(Payload(trace)))
    for path in (finished_run / "commits").glob("*"):
        path.unlink()
    ended = scorefold("resume", "run", *SERIAL)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "internal error" not in ended.err


def written_outside(folder: Path, *runs: str) -> set[str]:
    return {
        path.relative_to(folder.parent).as_posix()
        for path in folder.parent.rglob("*")
        if not any((folder / run) in (path, *path.parents) for run in runs)
    }


def save_archive(images, path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, image in images.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, image, allow_pickle=False)


def save_series(images, path):
    with tifffile.TiffWriter(path) as writer:
        for name, image in images.items():
            writer.write(image, metadata={"Name": name}, description=name.encode("ascii", "replace").decode())


def save_group(images, path):
    root = zarr.create_group(path)
    for name, image in images.items():
        # Zarr itself refuses a slash at the beginning and dots alone.
        member = name.replace("/", "∕").replace("\\", "⧵") if name != ".." else "...a"
        root.create_array(member.replace("zarr.json", "zarr_json"), data=image, dimension_names=("y", "x"))


@pytest.mark.system
@pytest.mark.parametrize(
    ("name", "save"),
    [("many.npz", save_archive), ("many.zarr", save_group), ("many.tif", save_series)],
    ids=["npz", "zarr", "tiff"],
)
def test_names_within_files_lead_nowhere_else(folder, scorefold, name, save):
    image = cv2.imread("good.png", cv2.IMREAD_GRAYSCALE)
    # Sizes differ, as series of a TIFF file are told apart by them.
    images = {inner: image[: 47 - row] for row, inner in enumerate(ESCAPING)}
    save(images, name)
    before = written_outside(folder, "run", "inspected")
    options = ("--step", "90", "--threshold", "0.9")
    ended = scorefold("match", name, "-t", "part.png", "-o", "run", *options, *SERIAL)
    assert (ended.code, ended.err) == (0, "")
    assert len(package.open_run("run").picks) == len(images)
    ended = scorefold(
        "inspect", "maps", name, "--threshold", "200", "--export", "maps,masks", "-o", "inspected", *SERIAL
    )
    assert (ended.code, ended.err) == (0, "")
    assert written_outside(folder, "run", "inspected") == before
    table = pd.read_parquet("run/tables/images.parquet")
    assert table["target"].is_unique
    for target in table["target"]:
        assert Path("run/figures", f"{target}.png").is_file()
        assert os.sep not in target
    assert len(list(Path("inspected/export").rglob("*mask*"))) == len(images)


def test_an_image_of_a_group_that_is_said_to_be_elsewhere_is_not_read(folder, scorefold, check_refused):
    zarr.create_array("secret.zarr", data=np.ones((30, 30), np.float32))
    for path in ("../secret.zarr", "a/../../secret.zarr", str(Path("secret.zarr").absolute()), ".", ""):
        scale = {"version": "0.4", "axes": ["y", "x"], "datasets": [{"path": path}]}
        zarr.create_group("image.zarr", overwrite=True, attributes={"multiscales": [scale]})
        ended = scorefold("match", "image.zarr", "-t", "part.png", "-o", "run", *SERIAL)
        check_refused(ended, ('target "image.zarr"',))


def test_names_in_tables_of_labels_lead_nowhere(lot, scorefold, check_refused):
    rows = ["name,label", "../../../../etc/passwd,good", "/etc/passwd,bad", '"=cmd|\' !A1",bad']
    Path("labels.csv").write_text("\n".join(rows) + "\n")
    arguments = ("--model", "model", "--labels", "labels.csv", "-o", "found", *SERIAL)
    ended = scorefold("inspect", "run", "lot", *arguments)
    check_refused(ended, ("labels",))
    assert not Path("found").exists()


def test_a_run_that_names_targets_elsewhere_cannot_be_made_to_write_there(finished_run, scorefold, contents):
    """A run that somebody hands over may say anything in its job."""
    for path in finished_run.rglob("*.json"):
        if path.name in ("targets.json", "zarr.json"):
            path.write_text(path.read_text().replace('"good"', '"../../../escaped"'))
    before = {path for path in finished_run.parent.parent.rglob("*") if finished_run not in path.parents}
    ended = scorefold("render", "run", "--threshold", "0.5", *SERIAL)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    after = {path for path in finished_run.parent.parent.rglob("*") if finished_run not in path.parents}
    assert after == before
