"""What reads damaged files, in processes of their own: run as a script, it is told by lines what to read.

Such a process says which input comes before it reads it, so that whoever waits knows which one killed it. Input
``number`` of a reader depends on seed and number alone. To see one again::

    echo "png 1 345 1 /tmp/again" | python tests/faults/fuzzing.py
"""

import contextlib
import faulthandler
import io
import json
import logging
import math
import os
import platform
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import starfile
import tifffile
import zarr
from PIL import Image

import scorefold.api
from scorefold.errors import ScorefoldError
from scorefold.io import at_most_pixels
from scorefold.testing.mutations import BINARY, TEXT, mutated, mutated_json, with_png_checksums

CPU_SECONDS = 5
"""Processor time after which an input counts as one that never ends."""

MEMORY = 256 * 2**20
"""What reading a damaged file may add to the resident memory; the undamaged files have less than 20 kB."""

PIXELS = 2**22
"""What may be decoded at once while files are damaged. WebP holds 2**28 equal pixels in 100 bytes."""

FEW_PIXELS = 2**15
"""The same for Zarr arrays, whose chunks may be one pixel small; a chunk takes 0.1 ms."""

LONGEST_LINE = 250

Attempt = Callable[[np.random.Generator, Path], None]
"""Makes a damaged file at a path (without its ending) and reads it."""

Reader = Callable[[Path], Attempt]
READERS: dict[str, Reader] = {}


class UnexpectedError(AssertionError):
    """Something that a reader did and should not have done."""


assert starfile, "imported once for all children"


def reader(function: Reader) -> Reader:
    """Register what prepares attempts in a folder."""
    READERS[function.__name__] = function
    return function


def check_line(text: str, path: Path) -> None:
    """Require one line of bearable length, not counting the path."""
    shown = text.replace(str(path), "").replace(str(path.parent), "")
    if not text.strip() or not shown.isprintable() or len(shown) > LONGEST_LINE:
        raise UnexpectedError(f"{len(shown)} characters, or several lines: {shown[:400]!r}")


@contextlib.contextmanager
def errors_of_ours(path: Path) -> Iterator[None]:
    """Let errors pass that are ours and have one line."""
    try:
        yield
    except ScorefoldError as error:
        check_line(str(error), path)


# Images and volumes.

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 255, (24, 32, 3), dtype=np.uint8)
SMOOTH = np.add.outer(np.arange(64), np.arange(80)).astype(np.uint8)


def read_images(path: Path, rng: np.random.Generator) -> None:
    """List what is in a file, read a corner of each of a few targets, and all of those that are small."""
    from scorefold.io import find_targets, read_array, read_region, read_target

    pages = ("auto", "batch", "volume")[int(rng.integers(3))]
    with errors_of_ours(path):
        # In a folder, runs are told from data first.
        place = path.parent if rng.random() < 0.2 and path.parent != FOLDER else path
        targets, broken = find_targets([place], gray=bool(rng.random() < 0.7), pages=pages)
        for one in broken:
            check_line(one.reason, path)
        for target in (*targets[:2], *targets[-1:]):
            with errors_of_ours(path):
                region = tuple(slice(max(0, n - 3), n) for n in target.shape)
                if read_region(target, region).shape != tuple(min(n, 3) for n in target.shape):
                    raise UnexpectedError("a region of another shape")
            with errors_of_ours(path):
                pixels = read_target(target)
                if pixels.shape != target.shape or pixels.dtype != target.dtype:
                    raise UnexpectedError("a target of another shape or type")
    if rng.random() < 0.25:
        with errors_of_ours(path):
            read_array(path, gray=True, role="template")


def images_in(suffix: str, contents: list[bytes], repair: Callable[[bytes], bytes] | None = None) -> Attempt:
    """Return what reads damaged images with one ending."""

    def attempt(rng: np.random.Generator, path: Path) -> None:
        content = mutated(contents, rng)
        if repair is not None and rng.random() < 0.7:
            content = repair(content)
        path = path.with_suffix(suffix)
        path.write_bytes(content)
        read_images(path, rng)

    for number, content in enumerate(contents):
        path = FOLDER / f"whole-{number}{suffix}"
        path.write_bytes(content)
        read_images(path, np.random.default_rng(number))
    return attempt


FOLDER = Path()


def pillow(image: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    """Encode an image."""
    sink = io.BytesIO()
    picture = Image.fromarray(image)
    (picture.convert(mode) if mode else picture).save(sink, kind, **options)
    return sink.getvalue()


@reader
def png(folder: Path) -> Attempt:
    """PNG of all colour types, most of them with right checksums."""
    contents = [
        pillow(IMAGE, "PNG"),
        pillow(COLOUR, "PNG"),
        pillow(COLOUR, "PNG", "P"),
        pillow(COLOUR, "PNG", "RGBA"),
        pillow(IMAGE, "PNG", "1"),
        pillow(IMAGE, "PNG", "LA"),
        cv2.imencode(".png", IMAGE.astype(np.uint16) * 200)[1].tobytes(),
        interlaced_png(),
    ]
    return images_in(".png", contents, with_png_checksums)


def interlaced_png() -> bytes:
    """Encode 8 x 8 gray pixels in the seven passes of Adam7."""
    import struct
    import zlib

    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    lines = b"".join((b"\0" + b"\x55" * width) * height for width, height in passes)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    raw = b"".join(struct.pack(">I", len(data)) + kind + data + bytes(4) for kind, data in chunks)
    return with_png_checksums(b"\x89PNG\r\n\x1a\n" + raw)


@reader
def jpeg(folder: Path) -> Attempt:
    """JPEG, baseline and progressive, gray and in colour."""
    contents = [
        pillow(SMOOTH, "JPEG", quality=80),
        pillow(IMAGE, "JPEG", quality=30),
        pillow(COLOUR, "JPEG"),
        pillow(COLOUR, "JPEG", subsampling=2, optimize=True),
        pillow(COLOUR, "JPEG", progressive=True),
        pillow(SMOOTH, "JPEG", progressive=True),
        pillow(SMOOTH, "JPEG", restart_marker_blocks=3),
    ]
    return images_in(".jpg", contents)


@reader
def bmp(folder: Path) -> Attempt:
    """BMP with palette, in colour, with alpha, and run-length encoded."""
    import struct

    body = b"".join(bytes([5, value, 3, 7]) + b"\0\0" for value in range(8)) + b"\0\1"
    palette = b"".join(bytes([value] * 3 + [0]) for value in range(256))
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8, 1, len(body), 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    runs = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body
    contents = [
        pillow(IMAGE, "BMP"),
        pillow(COLOUR, "BMP"),
        pillow(COLOUR, "BMP", "RGBA"),
        pillow(IMAGE, "BMP", "1"),
        runs,
    ]
    return images_in(".bmp", contents)


@reader
def pnm(folder: Path) -> Attempt:
    """PGM, PPM and PBM, as bytes and as text."""
    gray = " ".join(str(value) for value in SMOOTH[:12, :10].ravel())
    contents = [
        pillow(IMAGE, "PPM"),
        pillow(COLOUR, "PPM"),
        pillow(IMAGE, "PPM", "1"),
        f"P2\n# remark\n10 12\n255\n{gray}\n".encode(),
        f"P3\n5 8\n255\n{gray}\n".encode(),
        b"P1\n4 3\n1 0 1 0\n0 1 0 1\n1 1 1 1\n",
        b"P5\n10 6\n65535\n" + bytes(range(120)),
    ]
    suffixes = (".pgm", ".ppm", ".pbm", ".pnm")

    def attempt(rng: np.random.Generator, path: Path) -> None:
        path = path.with_suffix(suffixes[int(rng.integers(4))])
        path.write_bytes(mutated(contents, rng, mutations=TEXT))
        read_images(path, rng)

    return attempt


@reader
def webp(folder: Path) -> Attempt:
    """WebP, lossless, lossy, with alpha and animated."""
    sink = io.BytesIO()
    frames = [Image.fromarray(np.roll(COLOUR, shift, 0)) for shift in (0, 4, 8)]
    frames[0].save(sink, "WEBP", save_all=True, append_images=frames[1:])
    contents = [
        pillow(COLOUR, "WEBP", lossless=True),
        pillow(COLOUR, "WEBP", quality=50),
        pillow(COLOUR, "WEBP", "RGBA", quality=50),
        pillow(np.zeros((300, 300, 3), np.uint8), "WEBP", lossless=True),
        sink.getvalue(),
    ]
    return images_in(".webp", contents)


@reader
def mixed(folder: Path) -> Attempt:
    """Files of a kind that is not the one their ending names."""
    sink = io.BytesIO()
    tifffile.imwrite(sink, IMAGE)
    contents = [
        sink.getvalue(),
        *(pillow(COLOUR, kind) for kind in ("PNG", "JPEG", "BMP", "PPM", "WEBP", "GIF", "JPEG2000", "TIFF")),
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8 +X 8\n" + bytes(range(256)),
        b"PF\n4 4\n-1.0\n" + bytes(4 * 4 * 12),
        b"P7\nWIDTH 4\nHEIGHT 4\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n" + bytes(16),
        b"\x59\xa6\x6a\x95"
        + bytes([0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 64, 0, 0, 0, 1])
        + bytes(72),
        b"\x76\x2f\x31\x01" + bytes(200),
    ]
    suffixes = (".png", ".jpg", ".webp", ".bmp", ".pgm", ".tif", ".mrc", ".npy", ".npz")

    def attempt(rng: np.random.Generator, path: Path) -> None:
        path = path.with_suffix(suffixes[int(rng.integers(len(suffixes)))])
        path.write_bytes(mutated(contents, rng))
        read_images(path, rng)

    return attempt


@reader
def tiff(folder: Path) -> Attempt:
    """TIFF in its dialects and compressions."""

    def written(data: np.ndarray, **options: object) -> bytes:
        sink = io.BytesIO()
        tifffile.imwrite(sink, data, **options)
        return sink.getvalue()

    stack = np.stack([IMAGE, IMAGE[::-1], IMAGE])
    contents = [
        written(IMAGE, photometric="minisblack"),
        written(IMAGE, photometric="minisblack", rowsperstrip=8),
        written(IMAGE.astype(">u2"), photometric="minisblack", byteorder=">"),
        written(IMAGE, photometric="minisblack", tile=(16, 16), compression="zlib", predictor=True),
        written(COLOUR, photometric="rgb", compression="zlib"),
        written(COLOUR.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
        written(IMAGE, photometric="minisblack", bigtiff=True),
        pillow(IMAGE, "TIFF", compression="packbits"),
        written(stack, photometric="minisblack", metadata={"axes": "ZYX"}),
        written(
            stack, imagej=True, resolution=(2.0, 2.0), metadata={"axes": "ZYX", "spacing": 3, "unit": "nm"}
        ),
        written(stack, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5}),
        pillow(IMAGE, "TIFF", compression="tiff_lzw"),
        pillow(COLOUR, "TIFF", compression="jpeg"),
        pillow(IMAGE, "TIFF", "1", compression="group4"),
        pillow(COLOUR, "TIFF", compression="tiff_deflate"),
    ]
    binary = images_in(".tif", contents)

    def attempt(rng: np.random.Generator, path: Path) -> None:
        if rng.random() < 0.8:
            return binary(rng, path)
        path = path.with_suffix(".tif")  # OME's XML and ImageJ's description are texts
        path.write_bytes(mutated(contents[8:11], rng, mutations=TEXT))
        return read_images(path, rng)

    return attempt


@reader
def npy(folder: Path) -> Attempt:
    """NumPy arrays."""
    arrays = [IMAGE, IMAGE.astype("<f4"), IMAGE.astype(">i2"), np.asfortranarray(IMAGE), IMAGE > 9]
    arrays += [COLOUR, np.zeros((3, 8, 9), "f8"), np.zeros((4, 5), [("a", "u1"), ("b", "f4")])]
    binary, text = images_in(".npy", [npy_bytes(array) for array in arrays]), npy_header

    def attempt(rng: np.random.Generator, path: Path) -> None:
        if rng.random() < 0.5:
            return binary(rng, path)
        path = path.with_suffix(".npy")
        path.write_bytes(text([npy_bytes(array) for array in arrays], rng))
        return read_images(path, rng)

    return attempt


def npy_bytes(array: np.ndarray) -> bytes:
    """Return an array as a file."""
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def npy_header(contents: list[bytes], rng: np.random.Generator) -> bytes:
    """Return a file whose header, a text, was changed; its length is right."""
    content = contents[int(rng.integers(len(contents)))]
    length = int.from_bytes(content[8:10], "little")
    header = mutated([content[10 : 10 + length]], rng, mutations=TEXT)[:60000]
    return content[:8] + len(header).to_bytes(2, "little") + header + content[10 + length :]


@reader
def npz(folder: Path) -> Attempt:
    """Archives of arrays, with and without compression, with right checksums where a header was changed."""
    import zipfile

    arrays = {"first": IMAGE, "second": np.zeros((3, 8, 9), "f4"), "number": np.array(3)}
    plain, packed, blank = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(plain, **arrays)
    np.savez_compressed(packed, **arrays)
    np.savez_compressed(blank, np.zeros((1500, 2000), np.uint8))
    binary = images_in(".npz", [plain.getvalue(), packed.getvalue(), blank.getvalue()])

    def attempt(rng: np.random.Generator, path: Path) -> None:
        if rng.random() < 0.5:
            return binary(rng, path)
        path = path.with_suffix(".npz")
        packing = zipfile.ZIP_DEFLATED if rng.random() < 0.6 else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", packing) as archive:
            archive.writestr("a.npy", npy_header([npy_bytes(array) for array in arrays.values()], rng))
            archive.writestr("b.npy", npy_bytes(IMAGE))
        return read_images(path, rng)

    return attempt


@reader
def mrc(folder: Path) -> Attempt:
    """MRC maps, stacks and volumes."""
    contents = []
    volume = np.random.default_rng(2).normal(size=(4, 6, 7)).astype(np.float32)
    for number, data in enumerate(
        [IMAGE.astype(np.int16), volume, volume.astype(np.float16), IMAGE.astype(np.int8)]
    ):
        path = folder / f"seed-{number}.mrc"
        mrcfile.write(path, data, voxel_size=3.2)
        contents.append(path.read_bytes())
    with mrcfile.new(folder / "stack.mrc") as stack:
        stack.set_data(volume)
        stack.set_image_stack()
        stack.set_extended_header(np.zeros(64, "V1"))
    contents.append((folder / "stack.mrc").read_bytes())
    endings = (".mrc", ".mrcs", ".map", ".rec")
    plain = [images_in(ending, contents) for ending in endings]

    def attempt(rng: np.random.Generator, path: Path) -> None:
        plain[int(rng.integers(len(plain)))](rng, path)

    return attempt


@reader
def zarr_stores(folder: Path) -> Attempt:
    """Zarr arrays and OME-Zarr groups of both versions: descriptions and chunks."""
    from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, ZstdCodec

    from scorefold.io import ome_multiscales_metadata

    stores = []

    def new(name: str) -> Path:
        stores.append(folder / name)
        return stores[-1]

    zarr.save_array(new("default.zarr"), IMAGE)
    zarr.create_array(
        new("chunks.zarr"), data=IMAGE, chunks=(16, 16), compressors=[ZstdCodec(), Crc32cCodec()]
    )
    zarr.create_array(new("gzip.zarr"), data=IMAGE.astype("f4"), chunks=(16, 50), compressors=[GzipCodec()])
    zarr.create_array(new("shards.zarr"), data=IMAGE, chunks=(8, 10), shards=(16, 50))
    zarr.create_array(new("second.zarr"), data=IMAGE, chunks=(20, 50), zarr_format=2)
    zarr.create_array(
        new("raw.zarr"),
        data=IMAGE.astype(">u2"),
        chunks=(20, 50),
        serializer=BytesCodec(endian="big"),
        compressors=None,
    )
    group = zarr.create_group(
        new("ome.zarr"),
        attributes=ome_multiscales_metadata("a", "yx", (2.0, 2.0), "nanometer", [(1, 1), (2, 2)]),
    )
    group.create_array("0", data=IMAGE)
    group.create_array("1", data=IMAGE[::2, ::2].copy())
    old = zarr.create_group(
        new("old.zarr"),
        zarr_format=2,
        attributes={
            "multiscales": [
                {
                    "version": "0.4",
                    "axes": [
                        {"name": "z", "type": "space", "unit": "micrometer"},
                        {"name": "y"},
                        {"name": "x"},
                    ],
                    "datasets": [
                        {"path": "a/0", "coordinateTransformations": [{"type": "scale", "scale": [1, 2, 2]}]}
                    ],
                }
            ]
        },
    )
    old.create_array("a/0", data=np.zeros((3, 8, 9), "i2"), chunks=(1, 8, 9))
    assert ShardingCodec
    contents = [
        {
            str(path.relative_to(store)): path.read_bytes()
            for path in sorted(store.rglob("*"))
            if path.is_file()
        }
        for store in stores
    ]

    def attempt(rng: np.random.Generator, path: Path) -> None:
        files = dict(contents[int(rng.integers(len(contents)))])
        described = [name for name in files if name.endswith(("zarr.json", ".zarray", ".zattrs", ".zgroup"))]
        if rng.random() < 0.6:
            name = described[int(rng.integers(len(described)))]
            files[name] = mutated_file(name, files[name], rng)
        else:
            name = list(files)[int(rng.integers(len(files)))]
            files[name] = mutated([files[name]], rng)
        path = path.with_suffix(".zarr")
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        read_images(path, rng)

    for number, store in enumerate(stores):
        read_images(store, np.random.default_rng(number))
    return attempt


def mutated_file(name: str, content: bytes, rng: np.random.Generator) -> bytes:
    """Return a damaged file of a store: JSON mostly as JSON with other values."""
    if rng.random() < 0.75 and name.endswith((".json", ".zarray", ".zattrs", ".zgroup")):
        return json.dumps(mutated_json(json.loads(content), rng)).encode()
    return mutated([content], rng, mutations=TEXT if content[:1] == b"{" else BINARY)


# Tables.


@reader
def rotations(folder: Path) -> Attempt:
    """Rotation sets as NPY, STAR and CSV."""
    from scipy.spatial.transform import Rotation

    from scorefold.rotations import angle_to_matrix, read_rotations, write_rotations

    contents: dict[tuple[str, int], list[bytes]] = {}
    sets = {2: angle_to_matrix(np.arange(0, 360, 30.0)), 3: Rotation.random(12, rng=3).as_matrix()}
    for dimensions, matrices in sets.items():
        for suffix in (".npy", ".star", ".csv"):
            path = folder / f"whole-{dimensions}{suffix}"
            write_rotations(path, matrices)
            contents[suffix, dimensions] = [path.read_bytes()]
            read_rotations(path, dimensions)
    header = ",".join(f"r{row}{column}" for row in range(2) for column in range(2))
    contents[".csv", 2].append(f"{header}\n1,0,0,1\n0,-1,1,0\n".encode())
    contents[".star", 2].append(b"data_\n\n_rlnAnglePsi 12.5\n")
    contents[".star", 3].append(
        b"data_a\n\nloop_\n_rlnAngleRot #1\n_rlnAngleTilt #2\n_rlnAnglePsi #3\n1 2 3\n4 5 'a b'\n\ndata_b\n\n_x 1\n"
    )
    kinds = list(contents)

    def attempt(rng: np.random.Generator, path: Path) -> None:
        suffix, dimensions = kinds[int(rng.integers(len(kinds)))]
        seeds = contents[suffix, dimensions]
        if suffix == ".npy":
            content = npy_header(seeds, rng) if rng.random() < 0.5 else mutated(seeds, rng)
        else:
            content = mutated(seeds, rng, mutations=TEXT)
        path = path.with_suffix(suffix)
        path.write_bytes(content)
        with errors_of_ours(path):
            read_rotations(path, dimensions if rng.random() < 0.9 else 5 - dimensions)

    return attempt


@reader
def picks(folder: Path) -> Attempt:
    """Tables of picks as CSV, Parquet and STAR."""
    from scorefold.io import read_picks, tabulate_picks, write_picks

    tables = {}
    for dimensions in (2, 3):
        places = np.arange(4.0 * dimensions).reshape(4, dimensions)
        table = tabulate_picks("a b", places, [0.5, 0.6, 0.7, 0.8], range(4), [np.eye(dimensions)] * 4)
        (folder / str(dimensions)).mkdir()
        for path in write_picks(folder / str(dimensions), table):
            tables[path.suffix, dimensions] = path.read_bytes()
            read_picks(path)
    kinds = list(tables)

    def attempt(rng: np.random.Generator, path: Path) -> None:
        kind = kinds[int(rng.integers(len(kinds)))]
        path = path.with_suffix(kind[0])
        mutations = BINARY if kind[0] == ".parquet" else TEXT
        path.write_bytes(mutated([tables[kind]], rng, mutations=mutations))
        with errors_of_ours(path):
            read_picks(path)

    return attempt


@reader
def truth(folder: Path) -> Attempt:
    """Labels, masks, and the tables in which a run keeps what is known of its images."""
    from scorefold.io import TargetSource
    from scorefold.planning.images import ImageEntry, ImageTable
    from scorefold.planning.truth import Truth, TruthTable, truth_of_masks, truth_of_table, truth_to_bytes

    entries = [
        ImageEntry(TargetSource(f"part-{n}", f"/a/part-{n}.png", "image", (40, 50), "uint8"), stamp=(3, 4))
        for n in range(5)
    ]
    labels = b'name,label\npart-0,good\npart-1,bad\npart-2,0\n# remark\n"part-3",NG\n'
    known = truth_to_bytes([Truth(0), Truth(1, "/a/mask.png"), Truth()])
    images = ImageTable.to_bytes(entries)
    masks = {".png": pillow(IMAGE, "PNG"), ".npy": npy_bytes(IMAGE), ".bmp": pillow(IMAGE, "BMP")}

    def attempt(rng: np.random.Generator, path: Path) -> None:
        kind = int(rng.integers(4))
        with errors_of_ours(path):
            if kind == 0:
                path = path.with_suffix(".csv")
                path.write_bytes(mutated([labels], rng, mutations=TEXT))
                truth_of_table(entries, path)
            elif kind == 1:
                path.mkdir()
                for suffix, content in masks.items():
                    (path / f"part-{len(suffix)}{suffix}").write_bytes(
                        mutated([content], rng) if rng.random() < 0.5 else content
                    )
                truth_of_masks(entries, path)
            elif kind == 2:
                list(TruthTable(mutated([known], rng)))
            else:
                list(ImageTable(mutated([images], rng)))

    return attempt


@reader
def commits(folder: Path) -> Attempt:
    """Commit records, most of them with the right digest."""
    import hashlib

    from scorefold.analyzer import Coverage
    from scorefold.store import ArrayRecord, Commit

    arrays = {"scores": ArrayRecord.of(IMAGE), "big": ArrayRecord("ab" * 16, "<f4", (100, 100))}
    record = Commit(
        "merge-1", "f" * 64, "a" * 32, arrays, Coverage.of("tile-0", 0, 7), {"failures": {"a": "b"}}
    )
    data = record.to_bytes()

    def attempt(rng: np.random.Generator, path: Path) -> None:
        content = mutated([data], rng, mutations=TEXT)
        if rng.random() < 0.7:
            body = mutated_json(json.loads(data)["body"], rng)
            digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
            content = json.dumps({"body": body, "sha256": digest}).encode()
        with errors_of_ours(path):
            read = Commit.from_bytes(content)
            for expected in read.arrays.values():
                array = None
                with contextlib.suppress(ValueError):
                    array = expected.inline_array()
                expected.disagreement(IMAGE if array is None else array)
            read.to_bytes()

    return attempt


@reader
def leases(folder: Path) -> Attempt:
    """Notes of who drives a run."""
    from scorefold.store import RunStore, check_free

    store = RunStore.create(str(folder / "run"), {"fingerprint": "f"})
    held = {"host": platform.node(), "process": 7, "started": 1.5, "token": "a" * 32, "renewed": time.time()}

    def attempt(rng: np.random.Generator, path: Path) -> None:
        note = {**held, "host": "elsewhere"} if rng.random() < 0.5 else held
        content = json.dumps(mutated_json(note, rng)).encode()
        if rng.random() < 0.4:
            content = mutated([json.dumps(note).encode()], rng, mutations=TEXT)
        store.blobs.put("driver.json", content)
        with errors_of_ours(path):
            check_free(store)

    return attempt


# Runs.


def part_images(folder: Path) -> Path:
    """Write good images, bad ones and masks."""
    rng = np.random.default_rng(11)
    base = 90 + 60 * np.kron(rng.integers(0, 2, (6, 6)), np.ones((4, 5)))
    for name, count in (("good", 6), ("test", 4), ("masks", 1)):
        (folder / name).mkdir()
        for number in range(count):
            image = np.uint8(base + rng.normal(0, 3, base.shape))
            if name == "masks":
                image = np.uint8(np.indices(base.shape).sum(0) < 8) * 255
            (folder / name / f"part-{number}.png").write_bytes(pillow(image, "PNG"))
    return folder


def damaged_run(location: Path, read: Callable[[str], None], fingerprint: Callable[[dict], str]) -> Attempt:
    """Return what damages one file of a run, reads the run, and puts the file right again."""
    paths = [
        path
        for path in sorted(location.rglob("*"))
        if path.is_file() and path.suffix not in (".html", ".csv")
    ]
    contents = {path: path.read_bytes() for path in paths}
    important = [
        path for path in paths if path.parent in (location, location / "job") or path.parent.name == "commits"
    ]
    root = location / "zarr.json"

    def damaged(path: Path, rng: np.random.Generator) -> bytes:
        content = contents[path]
        if rng.random() < 0.3 or path.suffix != ".json":
            return mutated([content], rng, mutations=TEXT if content[:1] == b"{" else BINARY)
        value = json.loads(content)
        if path != root:
            return json.dumps(mutated_json(value, rng)).encode()
        about = value["attributes"]["scorefold"]
        if rng.random() < 0.3:
            value["attributes"]["scorefold"] = mutated_json(about, rng)
        else:
            about["job"] = mutated_json(about["job"], rng)
            with contextlib.suppress(Exception):  # somebody who knows what he does
                about["fingerprint"] = fingerprint(about["job"])
        return json.dumps(value).encode()

    def attempt(rng: np.random.Generator, path: Path) -> None:
        among = [root] if rng.random() < 0.25 else important if rng.random() < 0.7 else paths
        changed = among[int(rng.integers(len(among)))]
        changed.write_bytes(damaged(changed, rng))
        try:
            with errors_of_ours(location):
                read(str(location))
        except Exception as error:
            error.add_note(f"damaged was {changed.relative_to(location)}")
            raise
        finally:
            changed.write_bytes(contents[changed])

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        read(str(location))
    return attempt


def look_at(location: str, path: Path) -> None:
    """Do what `status`, `verify`, `gc` and the start of a driver do."""
    from scorefold.cluster import open_run, run_progress
    from scorefold.store import verify

    run = open_run(location)
    for told in (run.title, *run.unreadable().values(), *run.failures().values()):
        check_line(told, path)
    for render in (True, False):
        run_progress(run, render=render)
        list(islice(run.missing(run.store.committed(), render=render), 1000))
    run.needed()
    assert run.reference
    for damage in verify(run.store).damaged.values():
        check_line(damage, path)


def each(*steps: Callable[[], object]) -> None:
    """Do all steps; one that fails with an error of ours does not keep the others from being done."""
    failed: ScorefoldError | None = None
    for step in steps:
        try:
            step()
        except ScorefoldError as error:
            failed = failed or error
    if failed is not None:
        raise failed


@reader
def searches(folder: Path) -> Attempt:
    """Runs of a search."""
    from scorefold.api import open_run
    from scorefold.planning.job import MatchJob, Target

    np.save(folder / "target.npy", IMAGE.astype(np.float32))
    location = folder / "run"
    scorefold.match(
        [folder / "target.npy", IMAGE[::-1].astype(np.float32)],
        IMAGE[8:17, 9:20],
        out=location,
        mask="disk",
        step=90,
        threshold=0.5,
        keep_states=True,
        render=False,
    )
    targets = [Target.from_json(value) for value in json.loads((location / "job/targets.json").read_bytes())]

    def read(where: str) -> None:
        def outcome() -> None:
            found = open_run(where)
            assert repr(found)
            each(
                lambda: found.picks,
                lambda: found.rotation_set,
                lambda: [one[:2].shape for maps in (found.scores, found.rotations) for one in maps.values()],
            )

        each(lambda: look_at(where, location), outcome)

    return damaged_run(location, read, lambda job: MatchJob.from_json(job, targets).fingerprint)


def inspections_in(folder: Path) -> tuple[Path, Path]:
    """Train a model and inspect images with it; return where both are."""
    parts = part_images(folder)
    model, found = folder / "model", folder / "found"
    scorefold.train(parts / "good", out=model, render=False)
    scorefold.inspect(parts / "test", model, out=found, masks=parts / "masks", render=False)
    return model, found


@reader
def models(folder: Path) -> Attempt:
    """What a training leaves, and an inspection opens."""
    from scorefold.api import open_run
    from scorefold.api.model import open_model
    from scorefold.inspection.inspector import Aligned
    from scorefold.planning.inspect_job import TrainJob

    model, _ = inspections_in(folder)

    def read(where: str) -> None:
        def opened() -> None:
            learned = open_model(where)
            if math.prod(learned.recipe.shape) <= PIXELS:
                list(learned.states)
                inspector = learned.inspector
                image = np.full(learned.recipe.shape, 100, np.float32)
                inspector.compare(Aligned(image, np.ones(image.shape, bool)))

        def outcome() -> None:
            found = open_run(where)
            each(lambda: found.images, lambda: repr(found), lambda: found.failures)

        each(lambda: look_at(where, model), opened, outcome)

    return damaged_run(model, read, lambda job: TrainJob.from_json(job).fingerprint)


@reader
def inspections(folder: Path) -> Attempt:
    """Runs of an inspection."""
    from scorefold.api import open_run
    from scorefold.cluster import open_run as open_any
    from scorefold.planning.inspect_job import InspectJob

    _, found = inspections_in(folder)

    def read(where: str) -> None:
        def opened() -> None:
            run = open_any(where)
            each(
                lambda: list(run.images),
                lambda: list(run.truths or ()),
                lambda: run.inspector.model,
                lambda: [run.read_image(entry) for entry in run.images],
                run.good_scores,
            )

        def outcome() -> None:
            opened = open_run(where)
            each(lambda: opened.images, lambda: opened.defects, lambda: repr(opened), lambda: opened.failures)

        each(lambda: look_at(where, found), opened, outcome)

    return damaged_run(found, read, lambda job: InspectJob.from_json(job).fingerprint)


# What goes wrong at the third file, for the tests of the watchdog.


def at_the_third(mishap: Callable[[], object]) -> Reader:
    """Return a reader that does something else at the third file."""

    def prepared(folder: Path) -> Attempt:
        def attempt(rng: np.random.Generator, path: Path) -> None:
            with errors_of_ours(path):
                if path.name == "a3":
                    mishap()

        return attempt

    return prepared


def raising() -> None:
    """Raise an error of Python's."""
    raise ZeroDivisionError("three")


def chatting() -> None:
    """Raise an error of ours in two lines."""
    raise ScorefoldError("one\ntwo and ")


def endless() -> None:
    """Compute for ever, though no longer than a test may take."""
    signal.setitimer(signal.ITIMER_PROF, 0.1)
    while True:
        pass


READERS["raising"] = at_the_third(raising)
READERS["chatting"] = at_the_third(chatting)
READERS["endless"] = at_the_third(endless)
READERS["greedy"] = at_the_third(lambda: np.ones(MEMORY + 2**24, np.uint8).sum())
READERS["crashing"] = at_the_third(lambda: os.kill(os.getpid(), signal.SIGSEGV))


# The process.


def say(text: str) -> None:
    """Tell whoever waits, at once."""
    os.write(1, f"{text}\n".encode())


def resident() -> int:
    """Return the largest resident memory so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def failure(error: BaseException) -> str:
    """Return where and what in a line of JSON."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
    text = "; ".join([str(error)[:500], *getattr(error, "__notes__", [])])
    return json.dumps({"error": f"{type(error).__name__}: {text}", "where": places[-6:]})


def remove(folder: Path) -> None:
    """Remove what an attempt has left."""
    import shutil

    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def run(name: str, seed: int, first: int, count: int, place: Path) -> None:
    """Read damaged files and tell of each."""
    global FOLDER  # noqa: PLW0603
    FOLDER = place / "whole"
    inputs = place / "inputs"
    FOLDER.mkdir(parents=True)
    inputs.mkdir()
    with at_most_pixels(FEW_PIXELS if name == "zarr_stores" else PIXELS):
        attempt = READERS[name](FOLDER)
        with contextlib.suppress(Exception):  # whatever the first input needs is imported
            attempt(np.random.default_rng(0), inputs / "warm")
        remove(inputs)
        before = peak = resident()
        for number in range(first, first + count):
            say(str(number))
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            try:
                attempt(np.random.default_rng([seed, number]), inputs / f"a{number}")
            except Exception as error:  # noqa: BLE001 which one is what is asked for
                say(f"failed {failure(error)}")
            signal.setitimer(signal.ITIMER_PROF, 0)
            remove(inputs)
            grown, peak = resident() - peak, resident()
            if peak - before > MEMORY and grown:
                say(f"failed {json.dumps({'error': f'memory grew by {grown >> 20} MiB', 'where': []})}")
                before = peak
    say(f"done {(peak - before) >> 20}")


def main() -> None:
    """Do what the lines of standard input ask for (reader, seed, first input, count, folder), each in a child."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    cv2.setNumThreads(1)
    say("ready")
    for line in sys.stdin:
        name, seed, first, count, place = line.rstrip("\n").split(" ", 4)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(name, int(seed), int(first), int(count), Path(place))
                code = 0
            except Exception:  # noqa: BLE001 it ends here
                traceback.print_exc()
            finally:
                os._exit(code)
        say(f"child {child}")
        say(f"ended {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")


if __name__ == "__main__":
    main()
