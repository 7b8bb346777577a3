"""Whatever is wrong with a file, its reader ends soon, takes little memory, and reads it or says in a line why not."""

import io
import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import zarr

from scorefold.errors import InputError
from scorefold.io import TargetReadError, at_most_pixels, find_targets, read_region, read_target
from scorefold.rotations import read_rotations
from scorefold.testing.mutations import BINARY, TEXT, mutated, mutated_json, splice, with_png_checksums

SEED = 1

COUNTS = {
    "png": 1000,
    "jpeg": 1000,
    "bmp": 1000,
    "pnm": 1000,
    "webp": 700,
    "mixed": 700,
    "tiff": 1000,
    "npy": 1000,
    "npz": 700,
    "mrc": 1000,
    "zarr_stores": 300,
    "rotations": 1000,
    "picks": 400,
    "truth": 1000,
    "commits": 1000,
    "leases": 300,
    "searches": 80,
    "models": 80,
    "inspections": 50,
}
"""Damaged files of each reader: more than ten thousand, in about a minute of processor time."""

LONG = int(os.environ.get("SCOREFOLD_FUZZ", "20"))
"""How many times as many are read by the long test, with other seeds."""

SILENCE_SECONDS = 100
"""Time after which a process that says nothing is given up; one that computes for 5 s is ended by the system."""

pytestmark = pytest.mark.timeout(170)


class Readers:
    """The process whose children read damaged files."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("fuzzing.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._said = b""
        self._complained = b""
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(self._process.stdout, selectors.EVENT_READ)
        self._waiting.register(self._process.stderr, selectors.EVENT_READ)
        assert self._line() == "ready"

    def _line(self) -> str | None:
        """Return what the process or its child says next; None if it is silent for long."""
        while b"\n" not in self._said:
            ready = self._waiting.select(SILENCE_SECONDS)
            if not ready:
                return None
            for key, _ in ready:
                data = os.read(key.fd, 2**16)
                assert data, f"the process of the readers has ended:\n{self._complained.decode()}"
                if key.fileobj is self._process.stdout:
                    self._said += data
                else:
                    self._complained = (self._complained + data)[-6000:]
        line, self._said = self._said.split(b"\n", 1)
        return line.decode()

    def failures(self, name: str, seed: int, first: int, count: int, folder: Path) -> list[str]:
        """Read damaged files; return what went wrong with which."""
        self._process.stdin.write(f"{name} {seed} {first} {count} {folder}\n".encode())
        found, number, child, done = [], "none", 0, False
        while True:
            line = self._line()
            kind, _, rest = (line or "silent").partition(" ")
            if kind == "child":
                child = int(rest)
            elif kind == "failed":
                told = json.loads(rest)
                found.append(
                    f"{name}, seed {seed}, input {number}: {told['error']} at {' '.join(told['where'])}"
                )
            elif kind == "done":
                done = True
            elif kind == "silent":
                found.append(f"{name}, seed {seed}, input {number}: nothing happens any more")
                os.kill(child, signal.SIGKILL)
            elif kind == "ended":
                if not done and not (found and "nothing happens" in found[-1]):
                    why = "it never ends" if int(rest) == -signal.SIGPROF else f"exit code {rest}"
                    last = self._complained.decode(errors="replace")
                    found.append(f"{name}, seed {seed}, input {number}: {why}\n{last}")
                return found
            else:
                number = line

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(30)


@pytest.fixture(scope="module")
def readers():
    process = Readers()
    yield process
    process.close()


@pytest.mark.parametrize(
    "share",
    [
        (0, 0.2),
        pytest.param((0.2, 0.4), marks=pytest.mark.chaos),
        pytest.param((0.4, 1), marks=[pytest.mark.chaos, pytest.mark.long]),
    ],
    ids=["a fifth", "another", "all others"],
)
@pytest.mark.parametrize("name", COUNTS)
def test_a_damaged_file_is_read_or_refused_in_one_line(readers, tmp_path, name, share):
    first, stop = (int(part * COUNTS[name]) for part in share)
    assert readers.failures(name, SEED, first, stop - first, tmp_path / "files") == []


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", COUNTS)
def test_many_damaged_files_are_read_or_refused_in_one_line(readers, tmp_path, name):
    found = []
    for seed in range(SEED + 1, SEED + 1 + LONG):
        found += readers.failures(name, seed, 0, COUNTS[name], tmp_path / str(seed))
    assert found == []


def test_more_than_ten_thousand_files_are_damaged():
    assert sum(COUNTS.values()) > 10_000


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("raising", "input 3: ZeroDivisionError: three"),
        ("chatting", "input 3: UnexpectedError: 12 characters, or several lines"),
        ("greedy", "input 3: memory grew by"),
        ("endless", "input 3: it never ends"),
        ("crashing", f"input 3: exit code {-signal.SIGSEGV}"),
    ],
)
def test_what_goes_wrong_is_told_with_the_number_of_the_file(readers, tmp_path, name, says):
    (told,) = readers.failures(name, 7, 1, 3, tmp_path / "files")
    assert told.startswith(f"{name}, seed 7, {says}")


# What was found, or would take long to be found by chance.


def png(width, height, lines=b""):
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    raw = b"".join(struct.pack(">I", len(data)) + kind + data + bytes(4) for kind, data in chunks)
    return with_png_checksums(b"\x89PNG\r\n\x1a\n" + raw)


def jpeg(width, height, scans=1):
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0" + bytes(20)
    return b"\xff\xd8\xff\xc2\0\x0b" + frame + scan * scans + b"\xff\xd9"


def bmp(width, height, compression=0):
    header = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, 24 - 16 * (compression > 0), compression, 0, 0, 0, 0, 0
    )
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header + bytes(1000)


LIES = {
    "png": png(30_000, 30_000, bytes(9000)),
    "jpg": jpeg(30_000, 30_000),
    "bmp": bmp(30_000, 30_000),
    "runs.bmp": bmp(30_000, -30_000, compression=1),
    "ppm": b"P6 30000 30000 255\n" + bytes(1000),
    "pbm": b"P4\n# remark\n30000 30000\n" + bytes(1000),
    "pgm": b"P2\n30000\n30000\n255\n" + b"7 " * 1000,
}


@pytest.mark.parametrize("name", LIES)
def test_an_image_that_its_file_is_too_short_for_is_refused_before_it_is_decoded(tmp_path, name):
    path = tmp_path / f"a.{name}"
    path.write_bytes(LIES[name])
    targets, (unreadable,) = find_targets([path], gray=True)
    assert not targets
    assert "30000 × 30000 pixels do not fit into so few bytes" in unreadable.reason


def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(800, 800, scans=2000))
    _, (unreadable,) = find_targets([tmp_path / "a.jpg"])
    assert "more than 200 scans" in unreadable.reason


@pytest.mark.system
def test_the_emptiest_images_that_encoders_write_are_read(tmp_path):
    """Their files are as short as files can be, which is not to be taken for damage."""
    from PIL import Image

    gray, colour = np.zeros((3000, 4000), np.uint8), np.zeros((1500, 2000, 3), np.uint8)
    options = {
        "png": [{"compress_level": 9}],
        "jpg": [{"optimize": True, "progressive": True, "quality": 1}, {"subsampling": 2, "optimize": True}],
        "bmp": [{}],
        "ppm": [{}],
        "webp": [{"lossless": True}, {"quality": 1}],
    }
    for suffix, choices in options.items():
        for number, chosen in enumerate(choices):
            Image.fromarray(gray).save(tmp_path / f"gray{number}.{suffix}", **chosen)
            Image.fromarray(colour).save(tmp_path / f"colour{number}.{suffix}", **chosen)
    Image.fromarray(gray).convert("1").save(tmp_path / "bits.png", compress_level=9)
    Image.fromarray(gray).convert("1").save(tmp_path / "bits.pbm")
    Image.fromarray(gray).convert("P").save(tmp_path / "palette.png", compress_level=9)
    targets, unreadable = find_targets([tmp_path], gray=True)
    assert not unreadable
    assert len(targets) == 17
    for target in targets:
        assert read_target(target).max() <= 1  # WebP has no black


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "JPEG2000"])
def test_an_image_of_another_kind_than_its_ending_allows_is_refused(tmp_path, kind):
    from PIL import Image

    Image.fromarray(np.eye(40, dtype=np.uint8)).save(tmp_path / "a.png", kind)
    _, (unreadable,) = find_targets([tmp_path / "a.png"])
    assert "not a PNG, JPEG, BMP, PNM or WebP image" in unreadable.reason


def test_a_jpeg_under_the_name_of_a_png_is_read(tmp_path):
    import cv2

    (tmp_path / "a.png").write_bytes(cv2.imencode(".jpg", np.eye(40, dtype=np.uint8))[1].tobytes())
    (target,), _ = find_targets([tmp_path / "a.png"])
    assert read_target(target).shape == (40, 40)


def test_the_limit_of_pixels_holds_for_every_format_that_is_decoded(tmp_path):
    import cv2
    import tifffile

    image = np.zeros((120, 100), np.uint8)
    for suffix in (".png", ".jpg", ".bmp", ".pgm", ".webp"):
        cv2.imwrite(str(tmp_path / f"a{suffix}"), image)
    tifffile.imwrite(tmp_path / "strip.tif", image, compression="zlib", rowsperstrip=120)
    np.savez_compressed(tmp_path / "a.npz", image)
    zarr.save_array(tmp_path / "a.zarr", image)
    names = sorted(path.name for path in tmp_path.iterdir())
    with at_most_pixels(image.size - 1):
        targets, unreadable = find_targets([tmp_path / name for name in names], gray=True)
        for target in targets:  # whose headers do not tell how they are decoded
            with pytest.raises(TargetReadError, match="at most 11999 are decoded at once"):
                read_region(target, (slice(0, 1), slice(0, 1)))
        assert all("at most 11999 are decoded at once" in one.reason for one in unreadable)
    assert len(targets) + len(unreadable) == len(names)
    assert sorted(target.format for target in targets) == ["npz", "zarr"]
    targets, unreadable = find_targets([tmp_path / name for name in names], gray=True)
    assert not unreadable
    assert {read_target(target).shape for target in targets} == {image.shape}


def test_a_volume_of_small_chunks_is_read_in_parts_where_it_is_too_large(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(2**20, 2**20), chunks=(64, 64), dtype="u1", fill_value=7)
    (target,), _ = find_targets([tmp_path / "a.zarr"])
    assert read_region(target, (slice(5, 7), slice(2**20 - 1, 2**20))).tolist() == [[7], [7]]
    with pytest.raises(TargetReadError, match="Read it in parts"):
        read_target(target)


def test_a_zarr_array_that_announces_a_billion_images_is_refused(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(2**30, 8, 8), chunks=(1, 8, 8), dtype="u1")
    _, (unreadable,) = find_targets([tmp_path / "a.zarr"], pages="batch")
    assert "may hold 2**20" in unreadable.reason


def test_a_tiff_whose_pages_follow_each_other_in_a_circle_is_refused(tmp_path):
    import tifffile

    sink = io.BytesIO()
    tifffile.imwrite(sink, np.zeros((2, 8, 8), np.uint8), photometric="minisblack", metadata=None)
    content = bytearray(sink.getvalue())
    (first,) = struct.unpack_from("<I", content, 4)
    (tags,) = struct.unpack_from("<H", content, first)
    (second,) = struct.unpack_from("<I", content, first + 2 + 12 * tags)
    (tags,) = struct.unpack_from("<H", content, second)
    struct.pack_into("<I", content, second + 2 + 12 * tags, first)
    (tmp_path / "a.tif").write_bytes(content)
    _, (unreadable,) = find_targets([tmp_path / "a.tif"])
    assert "circle" in unreadable.reason


def test_ome_metadata_that_announce_a_billion_planes_are_refused(tmp_path):
    import tifffile

    pixels = (
        '<Pixels DimensionOrder="XYZCT" Type="uint8" SizeX="8" SizeY="8" SizeZ="{}" SizeC="1" SizeT="{}">'
    )
    plane = '<TiffData IFD="0" PlaneCount="{}"/>'
    for sizes, count in (((40_000, 40_000), 1), ((3, 1), 10**9)):
        text = f'<OME><Image ID="1">{pixels.format(*sizes)}{plane.format(count)}</Pixels></Image></OME>'
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8), description=text, metadata=None)
        _, (unreadable,) = find_targets([tmp_path / "a.tif"])
        assert "OME metadata announce more than 2**20 planes" in unreadable.reason


def test_an_mrc_file_shorter_than_its_extended_header_is_refused(tmp_path):
    import mrcfile

    mrcfile.write(tmp_path / "a.mrc", np.zeros((4, 5), np.float32))
    content = bytearray((tmp_path / "a.mrc").read_bytes())
    struct.pack_into("<i", content, 92, 2**30)
    (tmp_path / "a.mrc").write_bytes(content)
    _, (unreadable,) = find_targets([tmp_path / "a.mrc"])
    assert "1073741824 of them an extended header" in unreadable.reason


def test_rotations_that_their_file_is_too_short_for_take_no_memory(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 3, 3), }".ljust(117) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(72))
    with pytest.raises(InputError, match=r"not a plain \.npy array"):
        read_rotations(tmp_path / "a.npy", 3)


# Mutations.


@pytest.mark.parametrize("mutations", [BINARY, TEXT], ids=["bytes", "texts"])
def test_the_same_seed_makes_the_same_bytes(mutations):
    contents = [bytes(range(256)) * 3, b"first second 3\nfourth\n"]
    made = [
        [mutated(contents, np.random.default_rng([5, number]), mutations=mutations) for number in range(300)]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len(set(made[0])) > 250


@pytest.mark.parametrize(
    "mutation", sorted(set(TEXT), key=lambda one: one.__name__), ids=lambda one: one.__name__
)
@pytest.mark.parametrize("content", [b"a", b"\0", bytes(2000), b"1,2\n3,4\n"], ids=len)
def test_every_mutation_takes_any_bytes(mutation, content):
    for seed in range(50):
        assert isinstance(mutation(content, np.random.default_rng(seed)), bytes)


def test_a_splice_is_the_beginning_of_one_file_and_the_end_of_another():
    for seed in range(50):
        joined = splice(b"a" * 40, b"b" * 30, np.random.default_rng(seed))
        assert joined.lstrip(b"a").strip(b"b") == b""


def test_json_values_are_left_as_they_are():
    value = {"shape": [1, 2], "names": {"a": None}}
    changed = [mutated_json(value, np.random.default_rng(seed)) for seed in range(100)]
    assert value == {"shape": [1, 2], "names": {"a": None}}
    assert sum(one != value for one in changed) > 90
    for one in changed:
        json.dumps(one)
