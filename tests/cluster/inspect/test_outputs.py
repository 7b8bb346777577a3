"""What an inspection puts out: verdicts, defects, polarity, areas, exports, mixed maps, located parts."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from scorefold.cluster import drive
from scorefold.cluster.executor import SerialExecutor
from scorefold.planning.inspect_job import MeasureOptions
from scorefold.rotations import angle_to_matrix
from scorefold.testing.planting import plant


@pytest.fixture
def inspected(inspect, data_set, model, tmp_path):
    def make(name="run", **options):
        images = [data_set.root / "test" / "**" / "*.png"]
        return inspect(tmp_path / name, **{"images": images, "model": model, "leaf_images": 4, **options})

    return make


def place(entry):
    """Return folder and stem of an image, as the data set names it."""
    return f"{Path(entry.source.path).parent.name}/{Path(entry.source.path).stem}"


def test_defects_are_where_they_were_planted(inspected, tables, data_set):
    run = inspected()
    found = tables(run)
    assert list(found.images["verdict"]) == [
        "NG" if place(entry) in data_set.masks else "OK" for entry in run.images
    ]
    truth = {"a_part-1": (6, 8, "bright"), "a_part-3": (14, 20, "dark"), "b_part-1": (10, 12, "bright")}
    for row in found.defects.itertuples():
        y, x, polarity = truth.pop(row.name)
        # The opening by a disk of radius 1 rounds the corners off.
        assert (row.y0, row.x0, row.y1, row.x1, row.area) == (y, x, y + 5, x + 5, 21)
        assert (row.centroid_y, row.centroid_x) == (row.target_y, row.target_x) == (y + 2, x + 2)
        assert row.polarity == polarity
    assert not truth


@pytest.mark.parametrize(("polarity", "expected"), [("both", 3), ("bright", 2), ("dark", 1)])
def test_polarity_decides_which_deviations_count(inspected, tables, maps_of, polarity, expected):
    run = inspected(polarity=polarity)
    found = tables(run)
    assert len(found.defects) == (found.images["verdict"] == "NG").sum() == expected
    scores = [np.asarray(scores, np.float64) for scores in maps_of(run)]
    assert min(one.min() for one in scores) < -3  # maps stay signed
    assert polarity == "both" or set(found.defects["polarity"]) == {polarity}


def test_small_defects_are_left_out_of_everything(inspected, tables, maps_of):
    measure = MeasureOptions(min_area=22)
    run = inspected(measure=measure, export=("masks",))
    found = tables(run)
    assert set(found.images["verdict"]) == {"OK"}
    assert found.defects.empty
    assert not any(mask.any() for mask in maps_of(run, "masks"))
    exported = [
        cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in Path(run.store.location).rglob("*_mask.png")
    ]
    assert len(exported) == 11
    assert not any(mask.any() for mask in exported)
    assert len(tables(inspected("kept", measure=MeasureOptions(min_area=21))).defects) == 3


def test_exports_keep_folders_and_never_collide(inspected, data_set, maps_of):
    run = inspected(export=("maps", "masks"))
    root = Path(run.store.location) / "export"
    for entry, scores, mask in zip(run.images, maps_of(run), maps_of(run, "masks"), strict=True):
        folder, stem = place(entry).split("/")
        (found,) = (root / folder).glob(f"*{stem}_map.tiff")
        np.testing.assert_array_equal(tifffile.imread(found), scores.astype(np.float32))
        (found,) = (root / folder).glob(f"*{stem}_mask.png")
        np.testing.assert_array_equal(cv2.imread(str(found), cv2.IMREAD_UNCHANGED), mask)
    assert len([path for path in root.rglob("*") if path.is_file()]) == 22


@pytest.fixture
def maps_folder(tmp_path):
    """Maps of another tool: two shapes, several types, one without a valid pixel."""
    folder = tmp_path / "maps"
    folder.mkdir()
    rng = np.random.default_rng(4)
    for index, shape in enumerate([(20, 24), (12, 40), (20, 24), (12, 40), (20, 24)]):
        scores = rng.random(shape).astype(np.float32 if index % 2 else np.float64)
        if index in (1, 2):
            scores[4:9, 5:10] = 5
        np.save(folder / f"map-{index}.npy", scores)
    np.save(folder / "map-5.npy", np.full((20, 24), np.nan, np.float32))
    huge = rng.random((20, 24))
    huge[2:7, 2:7] = [[1e300], [np.inf], [3e38], [1e300], [1e300]]
    np.save(folder / "map-6.npy", huge)
    return folder


@pytest.mark.parametrize("precision", ["half", "single"])
def test_maps_of_another_tool_may_have_several_shapes(
    inspect, tables, maps_of, maps_folder, tmp_path, precision
):
    run = inspect(
        tmp_path / "run",
        maps=[maps_folder],
        measure=MeasureOptions("1"),
        precision=precision,
        leaf_images=2,
        render=True,
        export=("maps", "masks"),
    )
    found = tables(run)
    verdicts = {Path(path).stem: row["verdict"] for path, row in found.images.iterrows()}
    assert verdicts == {f"map-{i}": v for i, v in enumerate(["OK", "NG", "NG", "OK", "OK", "ERROR", "NG"])}
    assert list(run.failures()) == ["map-5"]
    dtype = np.float16 if precision == "half" else np.float32
    for entry, scores in zip(run.images, maps_of(run), strict=True):
        given = np.load(entry.source.path)
        largest = np.finfo(dtype).max
        np.testing.assert_array_equal(scores, np.clip(given, -largest, largest).astype(dtype))
    assert found.images["normalized"].between(0, 1).sum() == 6
    assert set(found.defects["polarity"]) == {""}
    assert (tmp_path / "run" / "report.html").exists()


def test_a_mask_that_broke_is_reported_and_tried_again(
    new_inspection, data_set, model, tables, tmp_path, output_of
):
    folder = tmp_path / "masks"
    for name, mask in data_set.masks.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{name}.png"), mask)
    options = {"images": [data_set.root / "test" / "**" / "*.png"], "model": model, "masks": folder}
    whole, run = (new_inspection(tmp_path / name, **options, leaf_images=4) for name in ("whole", "run"))
    drive(whole, SerialExecutor(), render=False)
    intact = (folder / "a" / "part-3.png").read_bytes()
    (folder / "a" / "part-3.png").write_bytes(intact[:-30])
    drive(run, SerialExecutor(), render=False)
    assert list(run.failures()) == ["a_part-3"]
    failed = tables(run).images[tables(run).images["failure"] != ""]
    assert list(failed["name"]) == ["a_part-3"]
    assert list(failed["verdict"]) == ["NG"]  # it was inspected; it could not be evaluated
    (folder / "a" / "part-3.png").write_bytes(intact)
    again = run.retry_failed()
    drive(again, SerialExecutor(), render=False)
    assert not again.failures()
    assert output_of(again.store.location) == output_of(whole.store.location)


PART = (26, 34)
ANGLES = (0.0, 31.0, 118.0, 200.0, 263.0, 340.0)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Turned parts on a noisy ground, two with a defect at (8, 11) of the template, and one image without."""
    rng = np.random.default_rng(6)
    root = tmp_path_factory.mktemp("turned")
    part = 120 + 50 * cv2.GaussianBlur(rng.normal(size=PART), (0, 0), 2) / 0.14
    np.save(root / "template.npy", part.astype(np.float32))
    centres = {}
    for folder, count in (("good", 6), ("test", 4)):
        (root / folder).mkdir()
        for index in range(count):
            shown = part.copy()
            if folder == "test" and index in (1, 2):
                shown[6:11, 9:14] += 90 if index == 1 else -90
            gain, offset = (1.0, 0.0) if folder == "good" else (0.8, 12.0)
            image = 60 + rng.normal(0, 4, (70, 76))
            centre = np.array([35.0, 38.0]) + rng.uniform(-6, 6, 2)
            angle = ANGLES[index] + (0 if folder == "good" else 17)
            if (folder, index) != ("test", 3):
                plant(image, shown, np.ones(PART), [centre], angle_to_matrix(np.array([angle])))
                image += rng.normal(0, 1.5, image.shape)
            if folder == "test":
                at = angle_to_matrix(angle) @ (np.array([8.0, 11.0]) - (np.array(PART) - 1) / 2) + centre
                centres[f"t{index}"] = (centre, angle, at)
            np.save(root / folder / f"{folder[0]}{index}.npy", (gain * image + offset).astype(np.float32))
    return root, centres


def test_defects_of_turned_parts_are_where_they_were_planted(inspect, learn, parts, tables, tmp_path):
    root, planted = parts
    trained = learn(
        tmp_path / "model",
        images=[root / "good"],
        template=root / "template.npy",
        value_range=(0.0, 255.0),
        gain_offset=True,
        tolerance=1,
        absolute=25.0,
    )
    assert not trained.failures()
    run = inspect(tmp_path / "run", images=[root / "test"], model=trained.model(), render=True)
    found = tables(run)
    rows = found.images.set_index("name")
    assert list(rows["verdict"]) == ["OK", "NG", "NG", "NOT_FOUND"]
    assert not run.failures()
    assert np.isnan(rows.loc["t3", ["score", "y", "x", "angle"]].astype(float)).all()
    for name, (centre, angle, at) in planted.items():
        if name == "t3":
            continue
        row = rows.loc[name]
        assert np.hypot(row["y"] - centre[0], row["x"] - centre[1]) < 0.5
        assert abs((row["angle"] - angle + 180) % 360 - 180) < 1
        defects = found.defects[found.defects["name"] == name]
        assert len(defects) == (name != "t0")
        for defect in defects.itertuples():
            assert np.hypot(defect.target_y - at[0], defect.target_x - at[1]) < 1
            assert np.hypot(defect.centroid_y - 8, defect.centroid_x - 11) < 1
            assert defect.polarity == ("bright" if name == "t1" else "dark")
