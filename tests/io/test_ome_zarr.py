"""OME-Zarr metadata are valid, and our own reader finds in them what was put in."""

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from scorefold.errors import InputError
from scorefold.io import find_targets, ome_multiscales_metadata


@given(
    axes=st.sampled_from(["yx", "zyx", "czyx", "tczyx", "cyx"]),
    unit=st.sampled_from([None, "angstrom", "micrometer"]),
    count=st.integers(1, 4),
    data=st.data(),
)
def test_metadata_obey_the_rules_of_the_specification(axes, unit, count, data):
    size = data.draw(st.lists(st.floats(0.1, 10), min_size=len(axes), max_size=len(axes)))
    levels = [[2**level if axis in "zyx" else 1 for axis in axes] for level in range(count)]
    attributes = ome_multiscales_metadata("a", axes, size, unit, levels)
    assert attributes["ome"]["version"] == "0.5"
    (image,) = attributes["ome"]["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == list(axes)
    types = [axis["type"] for axis in image["axes"]]
    assert types.count("space") in (2, 3)
    assert types == sorted(types, key=["time", "channel", "space"].index)
    assert all(axis.get("unit") == (unit if axis["type"] == "space" else None) for axis in image["axes"])
    for number, dataset in enumerate(image["datasets"]):
        scale, translation = dataset["coordinateTransformations"]
        assert dataset["path"] == str(number)
        assert (scale["type"], translation["type"]) == ("scale", "translation")
        assert len(scale["scale"]) == len(translation["translation"]) == len(axes)


def test_a_pixel_of_a_coarse_level_lies_at_the_centre_of_its_block():
    attributes = ome_multiscales_metadata("a", "yx", (2.0, 1.0), None, [(1, 1), (4, 4)], (10.0, 20.0))
    coarse = attributes["ome"]["multiscales"][0]["datasets"][1]["coordinateTransformations"]
    fine_centres = np.array([10.0, 20.0]) + np.array([2.0, 1.0]) * np.arange(4)[:, None]
    assert coarse[1]["translation"] == fine_centres.mean(axis=0).tolist()


def test_our_reader_understands_them(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.attrs.update(ome_multiscales_metadata("a", "zyx", (3, 2, 1), "nanometer", [(1, 1, 1), (1, 2, 2)]))
    group.create_array("0", data=np.zeros((5, 8, 8), np.float32))
    group.create_array("1", data=np.zeros((5, 4, 4), np.float32))
    (fine,), _ = find_targets([tmp_path / "a.zarr"])
    (coarse,), _ = find_targets([tmp_path / "a.zarr" / "1"])
    assert (fine.shape, fine.pixel_size, fine.pixel_unit) == ((5, 8, 8), (3.0, 2.0, 1.0), "nanometer")
    assert (coarse.shape, coarse.pixel_size) == ((5, 4, 4), (3.0, 4.0, 2.0))


@pytest.mark.parametrize(
    "arguments",
    [
        ("xy", (1, 1), [(1, 1)]),
        ("qyx", (1, 1, 1), [(1, 1, 1)]),
        ("yyx", (1, 1, 1), [(1, 1, 1)]),
        ("zyx", (1, 1), [(1, 1, 1)]),
        ("yx", (1, 1), []),
        ("yx", (1, 1), [(2, 2), (1, 1)]),
        ("", (), [()]),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(arguments):
    axes, size, levels = arguments
    with pytest.raises(InputError):
        ome_multiscales_metadata("a", axes, size, None, levels)
