"""Damaged, missing and hostile files are reported in one line and never end a listing."""

import contextlib
import io
import os

import cv2
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from scorefold.errors import InputError
from scorefold.io import TargetReadError, find_targets, read_array, read_region, read_target

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)


def encoded(suffix: str) -> bytes:
    if suffix in (".png", ".bmp", ".pgm"):
        return cv2.imencode(suffix, IMAGE)[1].tobytes()
    buffer = io.BytesIO()
    if suffix == ".jpg":
        Image.fromarray(IMAGE).save(buffer, "JPEG")
    elif suffix == ".webp":
        Image.fromarray(np.stack([IMAGE] * 3, axis=-1)).save(buffer, "WEBP", lossless=True)
    elif suffix == ".npy":
        np.save(buffer, IMAGE)
    elif suffix == ".npz":
        np.savez_compressed(buffer, IMAGE)
    elif suffix == ".tif":
        tifffile.imwrite(buffer, IMAGE, photometric="minisblack")
    elif suffix == ".tiff":
        tifffile.imwrite(buffer, IMAGE, photometric="minisblack", tile=(16, 16), compression="zlib")
    elif suffix == ".btf":
        Image.fromarray(IMAGE).save(buffer, "TIFF", compression="tiff_lzw")
    return buffer.getvalue()


SUFFIXES = [".png", ".jpg", ".bmp", ".pgm", ".webp", ".npy", ".npz", ".tif", ".tiff", ".btf", ".mrc"]


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    path = tmp_path_factory.mktemp("mrc") / "a.mrc"
    mrcfile.write(path, IMAGE.astype(np.int16))
    return {suffix: path.read_bytes() if suffix == ".mrc" else encoded(suffix) for suffix in SUFFIXES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def listed(path):
    targets, unreadable = find_targets([path], gray=True)
    assert len(targets) + len(unreadable) >= 1
    for one in unreadable:
        assert one.reason
        assert "\n" not in one.reason
        assert len(one.reason) <= 200
    return targets, unreadable


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_truncated_file_is_reported_when_it_is_listed(contents, folder, suffix, data):
    content = contents[suffix]
    length = data.draw(st.integers(0, len(content) - 1))
    path = folder / f"truncated{suffix}"
    path.write_bytes(content[:length])
    targets, unreadable = listed(path)
    # Nothing of the picture is lost with the last bytes of a PNG (its end mark is needed all the same), of a
    # JPEG, or of a TIFF whose last tags are behind the pixels; what is still listed must read.
    for target in targets:
        assert length > 0.9 * len(content)
        assert read_target(target).shape == (40, 50)
    assert len(targets) + len(unreadable) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_lead_to_pixels_or_to_one_line(contents, folder, suffix, data):
    content = bytearray(contents[suffix])
    header = min(len(content), 1100)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    path = folder / f"flipped{suffix}"
    path.write_bytes(content)
    # A flip may turn the picture into one of several channels, which is an error of usage.
    with contextlib.suppress(InputError):
        targets, _ = listed(path)
        for target in targets[:2]:
            if np.prod(target.shape) < 10**6:
                assert read_target(target).shape == target.shape


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".zarr"])
@pytest.mark.parametrize("content", [b"", b"not an image", b"\0" * 2000], ids=["empty", "text", "zeros"])
def test_a_file_of_another_kind_is_reported(tmp_path, suffix, content):
    (tmp_path / f"a{suffix}").write_bytes(content)
    targets, unreadable = listed(tmp_path / f"a{suffix}")
    assert targets == []
    assert len(unreadable) == 1


def test_readable_files_beside_damaged_ones_are_found(tmp_path, contents):
    for number in range(3):
        (tmp_path / f"good{number}.png").write_bytes(contents[".png"])
    (tmp_path / "bad.png").write_bytes(contents[".png"][:100])
    targets, unreadable = find_targets([tmp_path])
    assert [target.name for target in targets] == ["good0", "good1", "good2"]
    assert [one.path for one in unreadable] == [str(tmp_path / "bad.png")]


def test_special_files_are_reported_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "a.xyz").write_bytes(b"1")
    _, unreadable = find_targets([tmp_path / name for name in ("pipe.png", "broken.png", "a.xyz")])
    assert [one.reason.split(";")[0] for one in unreadable] == [
        "not a regular file",
        "no such file",
        'unsupported file type ".xyz"',
    ]


def test_a_png_of_absurd_size_is_refused_before_it_is_decoded(tmp_path):
    content = bytearray(encoded(".png"))
    content[16:24] = (2**20).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(content)
    _, (unreadable,) = find_targets([tmp_path / "a.png"])
    assert "1048576 × 1048576 pixels" in unreadable.reason


def test_a_damaged_zarr_chunk_is_an_error_of_reading(tmp_path):
    zarr.save_array(tmp_path / "a.zarr", IMAGE)
    (target,), _ = find_targets([tmp_path / "a.zarr"])
    chunk = tmp_path / "a.zarr" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(TargetReadError, match=r'^target "a": .*Repair or remove the file\.$'):
        read_target(target)


def test_a_file_that_changed_since_it_was_listed_is_an_error_of_reading(tmp_path):
    np.save(tmp_path / "a.npy", IMAGE)
    (target,), _ = find_targets([tmp_path / "a.npy"])
    np.save(tmp_path / "a.npy", IMAGE[1:])
    with pytest.raises(TargetReadError, match=r"its shape is \(39, 50\), and was \(40, 50\)"):
        read_target(target)
    np.save(tmp_path / "a.npy", IMAGE.astype(float))
    with pytest.raises(TargetReadError, match="its values are float64, and were uint8"):
        read_target(target)
    (tmp_path / "a.npy").unlink()
    with pytest.raises(TargetReadError, match="no such file"):
        read_region(target, (slice(0, 1), slice(0, 1)))


@pytest.mark.parametrize("name", ["missing.tif", "*.tif", "missing/", "**/*.png", "."])
def test_a_pattern_that_matches_nothing_is_an_error_that_names_it(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no image or volume files") as caught:
        find_targets([name])
    assert f'"{name}"' in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_pattern_is_not_the_working_folder():
    with pytest.raises(InputError, match="empty name"):
        find_targets([""])


@pytest.mark.parametrize(
    "options",
    [
        {"pages": "all"},
        {"pixel_size": 0},
        {"pixel_size": float("nan")},
        {"pixel_size": (1, 2, 3)},
        {"pixel_size": 1, "pixel_unit": "furlong"},
        {"channel": 1},
        {"channel": -1},
    ],
    ids=str,
)
def test_wrong_options_are_errors(tmp_path, options):
    np.save(tmp_path / "a.npy", IMAGE)
    with pytest.raises(InputError):
        find_targets([tmp_path / "a.npy"], **options)


@pytest.mark.parametrize(
    "region",
    [
        (slice(0, 41), slice(0, 50)),
        (slice(-1, 4), slice(0, 50)),
        (slice(4, 4), slice(0, 50)),
        (slice(0, 4, 2), slice(0, 50)),
        (slice(0, 4),),
    ],
    ids=str,
)
def test_a_region_outside_the_target_is_refused(tmp_path, region):
    np.save(tmp_path / "a.npy", IMAGE)
    (target,), _ = find_targets([tmp_path / "a.npy"])
    with pytest.raises(InputError, match="does not lie in it"):
        read_region(target, region)


def test_read_array_wants_one_array(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([IMAGE] * 3), photometric="minisblack")
    with pytest.raises(InputError, match="holds 3 arrays"):
        read_array(tmp_path / "a.tif", pages="batch")
    with pytest.raises(InputError, match=r'^file ".*b.tif": no such file'):
        read_array(tmp_path / "b.tif")
    Image.fromarray(np.stack([IMAGE] * 3, axis=-1)).save(tmp_path / "c.png")
    with pytest.raises(InputError, match=r'^file ".*c.png": 3 channels'):
        read_array(tmp_path / "c.png")
    assert read_array(tmp_path / "c.png", gray=True).shape == IMAGE.shape


def test_read_errors_travel_between_processes():
    import pickle

    error = pickle.loads(pickle.dumps(TargetReadError("a", "gone")))
    assert (error.name, error.reason, str(error)) == ("a", "gone", str(TargetReadError("a", "gone")))
