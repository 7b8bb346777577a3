"""Every format reads back the pixels, shape, type and pixel size that another library wrote."""

import io
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from numpy.testing import assert_array_equal
from PIL import Image

from scorefold.errors import InputError
from scorefold.io import TargetSource, find_targets, read_array, read_region, read_target

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")


def pixels(shape, dtype="uint8", seed=0):
    generator = np.random.default_rng(seed)
    if dtype == "bool":
        return generator.random(shape) > 0.5
    if np.dtype(dtype).kind == "f":
        return generator.normal(size=shape).astype(dtype)
    info = np.iinfo(dtype)
    return generator.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def only(path, **options) -> TargetSource:
    """The one target in a file, checked to read as it was described."""
    targets, unreadable = find_targets([path], **options)
    assert unreadable == []
    (target,) = targets
    whole = read_target(target)
    assert whole.shape == target.shape
    assert whole.dtype == target.dtype
    assert whole.flags.c_contiguous
    assert whole.flags.owndata
    region = tuple(slice(length // 3, length // 3 + max(1, length // 2)) for length in target.shape)
    assert_array_equal(read_region(target, region), whole[region])
    return target


def reason(path, **options) -> str:
    """Why a file is unreadable."""
    targets, unreadable = find_targets([path], **options)
    assert targets == []
    (found,) = unreadable
    assert found.path == str(path)
    assert "\n" not in found.reason
    return found.reason


class TestImages:
    @pytest.mark.parametrize("dtype", ["uint8", "uint16"])
    @pytest.mark.parametrize("suffix", [".png", ".pgm", ".bmp"])
    def test_gray_is_kept_as_stored(self, tmp_path, suffix, dtype):
        if suffix == ".bmp" and dtype == "uint16":
            pytest.skip("BMP has no 16 bits a channel")
        expected = pixels((11, 17), dtype)
        cv2.imwrite(str(tmp_path / f"a{suffix}"), expected)
        assert_array_equal(read_target(only(tmp_path / f"a{suffix}")), expected)

    def test_jpeg_equals_opencv(self, tmp_path):
        cv2.imwrite(str(tmp_path / "a.jpg"), pixels((40, 50)))
        expected = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_UNCHANGED)
        assert_array_equal(read_target(only(tmp_path / "a.jpg")), expected)

    @pytest.mark.parametrize("suffix", [".png", ".ppm", ".bmp", ".tif"])
    def test_channels_are_red_green_blue(self, tmp_path, suffix):
        expected = pixels((9, 8, 3))
        Image.fromarray(expected).save(tmp_path / f"a{suffix}")
        for channel in range(3):
            target = only(tmp_path / f"a{suffix}", channel=channel)
            assert_array_equal(read_target(target), expected[..., channel])

    @pytest.mark.parametrize("mode", ["RGB", "RGBA"])
    def test_gray_is_bt601_luma_without_alpha(self, tmp_path, mode):
        stored = pixels((9, 8, len(mode)))
        Image.fromarray(stored, mode).save(tmp_path / "a.png")
        luma = read_target(only(tmp_path / "a.png", gray=True))
        assert luma.dtype == np.float32
        expected = cv2.cvtColor(stored[..., :3].astype(np.float32), cv2.COLOR_RGB2GRAY)
        # Two float32 sums of three terms below 256 in different order.
        np.testing.assert_allclose(luma, expected, atol=1e-4)

    def test_one_channel_stays_in_its_type_when_gray_is_asked_for(self, tmp_path):
        cv2.imwrite(str(tmp_path / "a.png"), pixels((5, 6), "uint16"))
        assert only(tmp_path / "a.png", gray=True).dtype == "uint16"

    def test_palette_png_is_colour(self, tmp_path):
        colour = Image.fromarray(pixels((9, 8, 3))).quantize(16)
        colour.save(tmp_path / "a.png")
        target = only(tmp_path / "a.png", channel=1)
        assert_array_equal(read_target(target), np.asarray(colour.convert("RGB"))[..., 1])
        with pytest.raises(InputError, match="3 channels"):
            find_targets([tmp_path / "a.png"])

    def test_alpha_of_a_gray_image_is_dropped(self, tmp_path):
        stored = pixels((9, 8, 2))
        Image.fromarray(stored, "LA").save(tmp_path / "a.png")
        assert_array_equal(read_target(only(tmp_path / "a.png")), stored[..., 0])

    @pytest.mark.parametrize("bits", [1, 2, 4])
    def test_few_bits_span_eight(self, tmp_path, bits):
        Image.fromarray(pixels((9, 13))).convert("1").save(tmp_path / "a.png", bits=bits)
        values = np.unique(read_target(only(tmp_path / "a.png")))
        assert set(values.tolist()) == {0, 255}

    def test_exif_orientation_is_ignored(self, tmp_path):
        image = Image.fromarray(pixels((9, 8)))
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(tmp_path / "a.jpg", exif=exif)
        assert only(tmp_path / "a.jpg").shape == (9, 8)

    def test_cmyk_jpeg_is_refused_with_the_remedy(self, tmp_path):
        Image.fromarray(pixels((9, 8, 4)), "CMYK").save(tmp_path / "a.jpg")
        assert "CMYK" in reason(tmp_path / "a.jpg")

    def test_progressive_jpeg(self, tmp_path):
        Image.fromarray(pixels((90, 80))).save(tmp_path / "a.jpg", progressive=True)
        assert only(tmp_path / "a.jpg").shape == (90, 80)

    def test_an_image_is_decoded_once_for_all_its_tiles(self, tmp_path, monkeypatch):
        expected = pixels((64, 64))
        cv2.imwrite(str(tmp_path / "a.png"), expected)
        target = only(tmp_path / "a.png")
        calls = []
        decode = cv2.imdecode
        monkeypatch.setattr(cv2, "imdecode", lambda *arguments: calls.append(1) or decode(*arguments))
        cv2.imwrite(str(tmp_path / "b.png"), expected)
        other = only(tmp_path / "b.png")
        calls.clear()
        for corner in range(0, 64, 16):
            read_region(other, (slice(corner, corner + 16), slice(0, 16)))
        assert calls == []
        read_region(target, (slice(0, 1), slice(0, 1)))
        assert len(calls) == 1

    def test_a_rewritten_image_is_decoded_again(self, tmp_path):
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8), np.uint8))
        target = only(tmp_path / "a.png")
        cv2.imwrite(str(tmp_path / "a.png"), pixels((8, 8)))
        assert_array_equal(read_target(target), pixels((8, 8)))

    def test_a_decoded_image_cannot_be_changed_by_its_reader(self, tmp_path):
        cv2.imwrite(str(tmp_path / "a.png"), pixels((8, 8)))
        target = only(tmp_path / "a.png")
        read_target(target)[...] = 0
        assert_array_equal(read_target(target), pixels((8, 8)))


class TestTiff:
    @pytest.mark.parametrize("byteorder", ["<", ">"])
    @pytest.mark.parametrize("dtype", ["bool", *TYPES])
    def test_values_are_kept_in_both_byte_orders(self, tmp_path, dtype, byteorder):
        expected = pixels((13, 17), dtype)
        tifffile.imwrite(tmp_path / "a.tif", expected, byteorder=byteorder, photometric="minisblack")
        found = read_target(only(tmp_path / "a.tif"))
        assert_array_equal(found, expected)
        assert found.dtype == ("uint8" if dtype == "bool" else dtype)
        assert found.dtype.isnative

    @pytest.mark.parametrize(
        "layout",
        [
            {"tile": (16, 32)},
            {"tile": (16, 16), "compression": "zlib", "predictor": True},
            {"rowsperstrip": 5},
            {"rowsperstrip": 5, "compression": "zlib"},
            {"bigtiff": True},
            {"tile": (16, 16), "bigtiff": True, "byteorder": ">"},
        ],
        ids=str,
    )
    def test_layouts(self, tmp_path, layout):
        expected = pixels((50, 70), "uint16")
        tifffile.imwrite(tmp_path / "a.tif", expected, photometric="minisblack", **layout)
        assert_array_equal(read_target(only(tmp_path / "a.tif")), expected)

    def test_packbits(self, tmp_path):
        Image.fromarray(pixels((50, 70))).save(tmp_path / "a.tif", compression="packbits")
        assert_array_equal(read_target(only(tmp_path / "a.tif")), pixels((50, 70)))

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
    def test_lzw_is_read_without_imagecodecs(self, tmp_path, dtype):
        stack = [Image.fromarray(pixels((20, 30), dtype, seed)) for seed in range(3)]
        stack[0].save(tmp_path / "a.tif", compression="tiff_lzw", save_all=True, append_images=stack[1:])
        targets, unreadable = find_targets([tmp_path / "a.tif"])
        assert unreadable == []
        assert [target.page for target in targets] == [0, 1, 2]
        for seed, target in enumerate(targets):
            assert_array_equal(read_target(target), pixels((20, 30), dtype, seed))
        volume = read_target(only(tmp_path / "a.tif", pages="volume"))
        assert_array_equal(volume[2], pixels((20, 30), dtype, 2))

    def test_lzw_colour_is_red_green_blue(self, tmp_path):
        expected = pixels((20, 30, 3))
        Image.fromarray(expected).save(tmp_path / "a.tif", compression="tiff_lzw")
        assert_array_equal(read_target(only(tmp_path / "a.tif", channel=0)), expected[..., 0])

    def test_an_unsupported_compression_is_named(self, tmp_path):
        Image.fromarray(pixels((20, 30))).convert("1").save(tmp_path / "a.tif", compression="group4")
        assert "imagecodecs" in reason(tmp_path / "a.tif")

    def test_plain_pages_are_a_batch_unless_a_volume_is_asked_for(self, tmp_path):
        expected = pixels((4, 9, 8), "int16")
        tifffile.imwrite(tmp_path / "a.tif", expected, photometric="minisblack")
        targets, _ = find_targets([tmp_path / "a.tif"])
        assert [target.name for target in targets] == ["a_0", "a_1", "a_2", "a_3"]
        assert_array_equal([read_target(target) for target in targets], expected)
        assert_array_equal(read_target(only(tmp_path / "a.tif", pages="volume")), expected)
        assert_array_equal(read_array(tmp_path / "a.tif"), expected)

    def test_pages_of_different_size_are_all_found(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for size in (5, 5, 6):
                writer.write(pixels((size, 9)), contiguous=False, metadata=None)
        targets, _ = find_targets([tmp_path / "a.tif"])
        assert [target.shape for target in targets] == [(5, 9), (5, 9), (6, 9)]
        assert [read_target(target).shape for target in targets] == [(5, 9), (5, 9), (6, 9)]
        assert len({target.name for target in targets}) == 3

    def test_imagej_volume_with_pixel_size(self, tmp_path):
        expected = pixels((4, 9, 8), "uint16")
        tifffile.imwrite(
            tmp_path / "a.tif",
            expected,
            imagej=True,
            resolution=(1 / 0.25, 1 / 0.5),
            metadata={"axes": "ZYX", "spacing": 2.0, "unit": "um"},
        )
        target = only(tmp_path / "a.tif")
        assert_array_equal(read_target(target), expected)
        assert target.pixel_size == pytest.approx((2.0, 0.5, 0.25), rel=1e-6)  # stored as rationals
        assert target.pixel_unit == "micrometer"
        assert len(find_targets([tmp_path / "a.tif"], pages="batch")[0]) == 4

    def test_imagej_hyperstack_is_a_batch_of_volumes_of_one_channel(self, tmp_path):
        expected = pixels((2, 3, 4, 9, 8), "uint8")
        tifffile.imwrite(tmp_path / "a.tif", expected, imagej=True, metadata={"axes": "TZCYX"})
        with pytest.raises(InputError, match="4 channels"):
            find_targets([tmp_path / "a.tif"])
        targets, _ = find_targets([tmp_path / "a.tif"], channel=2)
        assert [target.shape for target in targets] == [(3, 9, 8)] * 2
        assert_array_equal([read_target(target) for target in targets], expected[:, :, 2])

    @pytest.mark.parametrize("axes", ["TCYX", "CTYX"])
    def test_ome_channel_and_time(self, tmp_path, axes):
        expected = pixels((3, 2, 9, 8) if axes == "TCYX" else (2, 3, 9, 8))
        tifffile.imwrite(tmp_path / "a.ome.tif", expected, ome=True, metadata={"axes": axes})
        targets, _ = find_targets([tmp_path / "a.ome.tif"], channel=1)
        assert [target.name for target in targets] == ["a_0", "a_1", "a_2"]
        found = np.stack([read_target(target) for target in targets])
        assert_array_equal(found, expected[:, 1] if axes == "TCYX" else expected[1])

    def test_ome_pixel_sizes_in_mixed_units(self, tmp_path):
        sizes = {"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 250.0}
        sizes |= {"PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "µm"}
        tifffile.imwrite(
            tmp_path / "a.ome.tif", pixels((4, 9, 8)), ome=True, metadata={"axes": "ZYX", **sizes}
        )
        target = only(tmp_path / "a.ome.tif")
        assert target.pixel_size == (2000.0, 250.0, 250.0)
        assert target.pixel_unit == "nanometer"

    def test_pyramid_is_read_at_its_finest_level(self, tmp_path):
        expected = pixels((64, 96))
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            writer.write(expected, subifds=1, tile=(32, 32))
            writer.write(expected[::2, ::2], subfiletype=1, tile=(32, 32))
        assert_array_equal(read_target(only(tmp_path / "a.tif")), expected)

    @pytest.mark.parametrize(
        ("resolution", "unit", "expected"),
        [((72, 72), "INCH", None), ((40_000, 20_000), "CENTIMETER", (0.5, 0.25)), ((4, 4), "NONE", None)],
    )
    def test_print_resolutions_are_no_pixel_sizes(self, tmp_path, resolution, unit, expected):
        tifffile.imwrite(tmp_path / "a.tif", pixels((9, 8)), resolution=resolution, resolutionunit=unit)
        target = only(tmp_path / "a.tif")
        assert target.pixel_size == (None if expected is None else pytest.approx(expected))
        assert target.pixel_unit == (None if expected is None else "micrometer")


class TestNpy:
    @pytest.mark.parametrize("dtype", ["bool", *TYPES])
    @pytest.mark.parametrize("shape", [(9, 8), (5, 9, 8)])
    def test_values_are_kept(self, tmp_path, shape, dtype):
        expected = pixels(shape, dtype)
        np.save(tmp_path / "a.npy", expected)
        assert_array_equal(read_target(only(tmp_path / "a.npy")), expected)

    def test_fortran_order_and_big_endian(self, tmp_path):
        expected = pixels((5, 9, 8), "float32")
        np.save(tmp_path / "a.npy", np.asfortranarray(expected.astype(">f4")))
        assert_array_equal(read_target(only(tmp_path / "a.npy")), expected)

    def test_three_axes_can_be_a_batch(self, tmp_path):
        np.save(tmp_path / "a.npy", pixels((5, 9, 8)))
        targets, _ = find_targets([tmp_path / "a.npy"], pages="batch")
        assert_array_equal([read_target(target) for target in targets], pixels((5, 9, 8)))

    def test_a_short_last_axis_is_colour(self, tmp_path):
        np.save(tmp_path / "a.npy", pixels((20, 30, 3)))
        with pytest.raises(InputError, match="3 channels"):
            find_targets([tmp_path / "a.npy"])

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros((4, 5), complex), "real numbers"),
            (np.zeros((4, 5), "f4,i4"), "real numbers"),
            (np.array([["a"]]), "real numbers"),
            (np.array([[None]]), "Python objects"),
            (np.zeros(5), "1 axes"),
            (np.zeros((2, 3, 4, 5)), "4 axes"),
            (np.zeros((0, 5)), "no pixels"),
        ],
        ids=str,
    )
    def test_what_cannot_be_matched_is_refused(self, tmp_path, array, message):
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        assert message in reason(tmp_path / "a.npy")


class TestNpz:
    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", ["bool", "uint8", ">u2", "float32"])
    def test_values_are_kept(self, tmp_path, save, order, dtype):
        expected = pixels((5, 9, 8)).astype(dtype)
        save(tmp_path / "a.npz", np.asarray(expected, order=order))
        target = only(tmp_path / "a.npz")
        assert target.name == "a"
        assert_array_equal(read_target(target), expected)
        assert_array_equal(
            read_region(target, (slice(1, 3), slice(2, 9), slice(0, 4))), expected[1:3, 2:9, :4]
        )

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_every_array_is_a_target(self, tmp_path, save):
        first, second = pixels((9, 8)), pixels((3, 6, 7))
        save(tmp_path / "a.npz", **{"one": first, "two/deep": second})
        targets, unreadable = find_targets([tmp_path / "a.npz"], pages="batch")
        assert [target.name for target in targets] == [
            "a_one",
            "a_two_deep_0",
            "a_two_deep_1",
            "a_two_deep_2",
        ]
        assert unreadable == []
        for target, expected in zip(targets, [first, *second], strict=True):
            assert_array_equal(read_target(target), expected)

    def test_what_was_saved_beside_images_is_passed_over(self, tmp_path):
        beside = {"score": np.float32(0.7), "label": np.array("bad"), "boxes": np.arange(4), "meta": {"a": 1}}
        np.savez(tmp_path / "a.npz", map=pixels((9, 8)), **beside)
        assert only(tmp_path / "a.npz").dataset == "map"

    def test_consecutive_pages_of_a_compressed_array_are_decoded_once(self, tmp_path, monkeypatch):
        np.savez_compressed(tmp_path / "a.npz", pixels((4, 9, 8)))
        targets, _ = find_targets([tmp_path / "a.npz"], pages="batch")
        decoded = []
        read = np.lib.format.read_array
        monkeypatch.setattr(np.lib.format, "read_array", lambda *a, **o: decoded.append(1) or read(*a, **o))
        for target in targets:
            read_target(target)
        assert len(decoded) == 1

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({}, "without arrays"),
            ({"a": np.array([[None]])}, "object"),
            ({"a": np.zeros(5)}, "1 axes"),
            ({"a": np.zeros((2, 3, 4, 5))}, "4 axes"),
            ({"a": np.zeros((0, 5))}, "no pixels"),
        ],
        ids=str,
    )
    def test_what_cannot_be_matched_is_refused(self, tmp_path, arrays, message):
        np.savez(tmp_path / "a.npz", **arrays)
        assert message in reason(tmp_path / "a.npz")

    def test_an_array_that_is_gone_is_named(self, tmp_path):
        np.savez(tmp_path / "a.npz", one=pixels((9, 8)))
        target = only(tmp_path / "a.npz")
        np.savez(tmp_path / "a.npz", two=pixels((9, 8)))
        with pytest.raises(InputError, match='no longer holds an array "one"'):
            read_target(target)


class TestMrc:
    @staticmethod
    def write(path, data, *, volume=False, voxel=None, extended=0, axes=None):
        with mrcfile.new(path) as mrc:
            if extended:
                mrc.set_extended_header(np.zeros(extended, dtype="V1"))
            mrc.set_data(data)
            if volume:
                mrc.set_volume()
            elif data.ndim == 3:
                mrc.set_image_stack()
            if voxel is not None:
                mrc.voxel_size = voxel
            if axes is not None:
                mrc.header.mapc, mrc.header.mapr, mrc.header.maps = axes

    @pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "uint16", "float16"])
    def test_modes(self, tmp_path, dtype):
        expected = pixels((5, 9, 8), dtype)
        self.write(tmp_path / "a.mrc", expected, volume=True)
        assert_array_equal(read_target(only(tmp_path / "a.mrc")), expected)

    def test_complex_mode_is_refused(self, tmp_path):
        self.write(tmp_path / "a.mrc", np.zeros((4, 5), np.complex64))
        assert "real numbers" in reason(tmp_path / "a.mrc")

    def test_voxel_size_is_in_array_axis_order(self, tmp_path):
        self.write(tmp_path / "a.mrc", pixels((5, 9, 8), "int16"), volume=True, voxel=(1.0, 2.0, 4.0))
        target = only(tmp_path / "a.mrc")
        assert target.pixel_size == pytest.approx((4.0, 2.0, 1.0))
        assert target.pixel_unit == "angstrom"

    def test_no_voxel_size(self, tmp_path):
        self.write(tmp_path / "a.mrc", pixels((9, 8), "int16"))
        assert only(tmp_path / "a.mrc").pixel_size is None

    def test_extended_header_is_skipped(self, tmp_path):
        expected = pixels((5, 9, 8), "float32")
        self.write(tmp_path / "a.mrc", expected, volume=True, extended=1234)
        assert_array_equal(read_target(only(tmp_path / "a.mrc")), expected)

    @pytest.mark.parametrize(
        ("suffix", "volume", "count"),
        [(".mrc", True, 1), (".mrc", False, 5), (".rec", False, 1), (".mrcs", True, 5)],
    )
    def test_stack_or_volume(self, tmp_path, suffix, volume, count):
        expected = pixels((5, 9, 8), "int16")
        self.write(tmp_path / f"a{suffix}", expected, volume=volume)
        targets, _ = find_targets([tmp_path / f"a{suffix}"])
        assert len(targets) == count
        assert_array_equal(np.stack([read_target(target) for target in targets]).reshape(5, 9, 8), expected)

    def test_axis_order_of_the_header_is_obeyed(self, tmp_path):
        expected = pixels((5, 9, 8), "int16")
        # Columns are z, rows y, sections x.
        self.write(tmp_path / "a.map", expected.transpose(2, 1, 0), volume=True, axes=(3, 2, 1))
        assert_array_equal(read_target(only(tmp_path / "a.map")), expected)

    def test_big_endian(self, tmp_path):
        expected = pixels((9, 8), "int16")
        self.write(tmp_path / "a.mrc", expected)
        content = (tmp_path / "a.mrc").read_bytes()
        words = np.frombuffer(content[:1024], "<u4").astype(">u4").tobytes()
        # Text fields and the machine stamp are bytes, not words.
        header = words[:104] + content[104:112] + words[112:208] + b"MAP \x11\x11\0\0" + words[216:224]
        (tmp_path / "a.mrc").write_bytes(header + content[224:1024] + expected.astype(">i2").tobytes())
        assert_array_equal(read_target(only(tmp_path / "a.mrc")), expected)


class TestZarr:
    @pytest.mark.parametrize("version", [2, 3])
    @pytest.mark.parametrize("shape", [(9, 8), (5, 9, 8)])
    def test_arrays(self, tmp_path, shape, version):
        expected = pixels(shape, "uint16")
        zarr.save_array(tmp_path / "a.zarr", expected, zarr_format=version)
        target = only(tmp_path / "a.zarr")
        assert target.name == "a"
        assert_array_equal(read_target(target), expected)

    @pytest.mark.parametrize("version", [2, 3])
    def test_ome_zarr_finest_level_with_pixel_size(self, tmp_path, version):
        expected = pixels((2, 3, 5, 9, 8), "uint16")
        group = zarr.create_group(tmp_path / "a.ome.zarr", zarr_format=version)
        group.create_array("0", data=expected)
        group.create_array("1", data=expected[..., ::2, ::2])
        multiscales = [
            {
                "axes": [
                    {"name": "t", "type": "time", "unit": "second"},
                    {"name": "c", "type": "channel"},
                    {"name": "z", "type": "space", "unit": "micrometer"},
                    {"name": "y", "type": "space", "unit": "micrometer"},
                    {"name": "x", "type": "space", "unit": "micrometer"},
                ],
                "datasets": [
                    {
                        "path": str(n),
                        "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2, f, f]}],
                    }
                    for n, f in enumerate((0.25, 0.5))
                ],
                "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1, 2, 2]}],
            }
        ]
        group.attrs.update(
            {"multiscales": multiscales}
            if version == 2
            else {"ome": {"version": "0.5", "multiscales": multiscales}}
        )
        targets, _ = find_targets([tmp_path / "a.ome.zarr"], channel=1)
        assert [(target.name, target.dataset, target.page) for target in targets] == [
            ("a_0", "0", 0),
            ("a_1", "0", 1),
        ]
        assert targets[0].pixel_size == (2.0, 0.5, 0.5)
        assert targets[0].pixel_unit == "micrometer"
        assert_array_equal([read_target(target) for target in targets], expected[:, 1])

        (coarse, _), _ = find_targets([tmp_path / "a.ome.zarr" / "1"], channel=0)
        assert coarse.pixel_size == (2.0, 1.0, 1.0)
        assert coarse.path == str(tmp_path / "a.ome.zarr")
        assert_array_equal(read_target(coarse), expected[0, 0, :, ::2, ::2])

    def test_singleton_axes_are_dropped(self, tmp_path):
        expected = pixels((1, 1, 5, 9, 8))
        zarr.save_array(tmp_path / "a.zarr", expected)
        assert_array_equal(read_target(only(tmp_path / "a.zarr")), expected[0, 0])

    def test_dimension_names_are_obeyed(self, tmp_path):
        expected = pixels((9, 8, 5))
        array = zarr.create_array(
            tmp_path / "a.zarr", shape=(9, 8, 5), dtype="uint8", dimension_names=("y", "x", "z")
        )
        array[...] = expected
        assert_array_equal(read_target(only(tmp_path / "a.zarr")), expected.transpose(2, 0, 1))

    def test_group_of_plain_arrays_and_images(self, tmp_path):
        group = zarr.create_group(tmp_path / "a.zarr")
        group.create_array("left", data=pixels((9, 8)))
        group.create_array("right", data=pixels((9, 8), seed=1))
        image = group.create_group("image")
        image.create_array("s0", data=pixels((9, 8), seed=2))
        image.attrs["ome"] = {"version": "0.5", "multiscales": [{"datasets": [{"path": "s0"}]}]}
        targets, _ = find_targets([tmp_path / "a.zarr"])
        assert [target.name for target in targets] == ["a_image_s0", "a_left", "a_right"]
        assert_array_equal(read_target(targets[0]), pixels((9, 8), seed=2))

    def test_empty_group_is_reported(self, tmp_path):
        zarr.create_group(tmp_path / "a.zarr")
        assert "without arrays" in reason(tmp_path / "a.zarr")

    def test_a_url(self, monkeypatch):
        # Stores in memory are zarr's own; obstore, where it is installed, opens those of the network.
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        expected = pixels((9, 8))
        group = zarr.open_group("memory://scorefold-test/a.zarr", mode="w")
        group.create_array("inner", data=expected)
        target = only("memory://scorefold-test/a.zarr/inner")
        assert target.dataset == "inner"
        assert_array_equal(read_target(target), expected)


def test_every_format_refuses_too_many_channels_in_the_same_words(tmp_path):
    colour = pixels((20, 30, 3))
    Image.fromarray(colour).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", colour, photometric="rgb")
    np.save(tmp_path / "c.npy", colour)
    for path in sorted(Path(tmp_path).iterdir()):
        message = f'target "{path.name}": 3 channels; one is needed. Pass --channel 0 or --gray.'
        with pytest.raises(InputError) as caught:
            find_targets([path])
        assert str(caught.value) == message
        with pytest.raises(InputError, match=r"no channel 3; pass --channel 0 to 2"):
            find_targets([path], channel=3)
        with pytest.raises(InputError, match="not both"):
            find_targets([path], channel=1, gray=True)


def test_png_and_jpeg_headers_agree_with_the_decoder(tmp_path):
    for number, mode in enumerate(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]):
        image = Image.fromarray(pixels((7, 9, 3))).convert("L" if mode == "I;16" else mode)
        if mode == "I;16":
            image = Image.fromarray(pixels((7, 9), "uint16"))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        (tmp_path / f"{number}.png").write_bytes(buffer.getvalue())
        only(tmp_path / f"{number}.png", gray=True)
