"""Every command of inspection once, from start to end, on images of a few pixels."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import scorefold as package

SERIAL = ("--scheduler", "serial")


def commits(run: Path, stage: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "commits").glob(f"{stage}-*")}


def verdicts(run: str) -> dict[str, str]:
    return dict(package.open_run(run).images[["name", "verdict"]].itertuples(index=False))


EXPECTED = {"t0": "OK", "t1": "NG", "t2": "OK", "t3": "NG"}


@pytest.mark.parametrize(
    "command", ["inspect", "inspect train", "inspect run", "inspect maps", "evaluate", "render"]
)
def test_help_of_every_command(scorefold, command):
    ended = scorefold(*command.split(), "--help")
    assert ended.code == 0
    assert "Usage" in ended.out
    assert ended.err == ""


def test_inspect_without_a_command_shows_the_help(scorefold):
    ended = scorefold("inspect")
    assert (ended.code, ended.err) == (2, "")
    assert "train" in ended.out


def test_train_says_what_was_learned_and_where_it_is(lot, scorefold):
    ended = scorefold("inspect", "train", "good", "-o", "new", *SERIAL)
    assert (ended.code, ended.err) == (0, "")
    assert "6 good images, method standard, on 1 worker\n" in ended.out
    assert f"model  {lot}/new\n" in ended.out
    assert "learned from 6 images\n" in ended.out
    assert "largest score of a good image" in ended.out
    assert "new/tables/images.csv" in ended.out
    assert set(pd.read_csv("new/tables/images.csv", comment="#")["name"]) == {f"g{n}" for n in range(6)}


def test_run_finds_the_defects_and_says_where_things_are(lot, scorefold):
    ended = scorefold("inspect", "run", "lot", "--model", "model", "-o", "found", *SERIAL)
    assert (ended.code, ended.err) == (0, "")
    assert "4 images, standard model of 6 images, on 1 worker\n" in ended.out
    assert "4 images: 2 NG, 2 OK\n" in ended.out
    assert "threshold 1 (auto)\n" in ended.out
    rows = [line.split() for line in ended.out.splitlines() if line.startswith(("t1 ", "t3 "))]
    assert [row[2:4] for row in rows] == [["NG", "1"]] * 2
    for name in ("tables/images.csv", "tables/defects.csv", "figures", "report.html"):
        assert f"found/{name}" in ended.out
    assert verdicts("found") == EXPECTED
    (first, second) = package.open_run("found").defects.to_dict("records")
    assert (first["name"], second["name"]) == ("t1", "t3")
    assert (first["y0"], first["x0"], first["y1"], first["x1"]) == (20, 30, 26, 37)
    assert first["polarity"] == "bright"


def test_run_with_masks_prints_metrics(lot, scorefold):
    ended = scorefold("inspect", "run", "lot", "--model", "model", "--masks", "masks", "-o", "found", *SERIAL)
    assert ended.code == 0
    assert next(line for line in ended.out.splitlines() if "AUROC" in line).split()[:2] == ["AUROC", "1.0000"]
    assert "AUPRO" in ended.out


def test_options_of_a_run_are_used(lot, scorefold):
    ended = scorefold(
        "inspect", "run", "lot", "--model", "model", "-o", "found", *SERIAL, "--no-render", "--threshold", "1.5",
        "--polarity", "dark", "--kernel-size", "0", "--precision", "single", "--export", "maps,masks",
    )  # fmt: skip
    assert ended.code == 0
    assert "4 images: 4 OK\n" in ended.out
    assert "threshold 1.5\n" in ended.out
    assert not Path("found/report.html").exists()
    assert "report.html" not in ended.out
    assert "found/export" in ended.out
    exported = sorted(path.name for path in Path("found/export").rglob("*") if path.is_file())
    assert exported == [f"t{n}_{what}" for n in range(4) for what in ("map.tiff", "mask.png")]
    found = package.open_run("found")
    assert found.scores("t0").dtype == np.float32


def test_options_of_a_training_are_used(lot, scorefold):
    ended = scorefold(
        "inspect", "train", "good", "-o", "new", *SERIAL, "--method", "robust", "--absolute", "7", "--factor", "3",
        "--tolerance", "1", "--polarity", "bright", "--kernel-size", "2", "--gain-offset", "--value-range", "0,255",
        "--cell", "6", "--jitter", "2", "--memory-limit", "1GiB", "--quiet", "--no-render",
    )  # fmt: skip
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    recipe = package.open_run("new").recipe
    assert (recipe.method, recipe.absolute, recipe.factor, recipe.tolerance) == ("robust", 7, 3, 1)
    assert (recipe.polarity, recipe.kernel_size, recipe.gain_offset) == ("bright", 2, True)
    assert (recipe.cell, recipe.jitter, recipe.grid.low, recipe.grid.high) == (6, 2, 0, 255)


@pytest.mark.parametrize("method", ["gaussian", "single"])
def test_other_methods_learn_and_inspect(lot, scorefold, method):
    good = "good/g0.png" if method == "single" else "good"
    assert scorefold("inspect", "train", good, "--method", method, "-o", "new", *SERIAL).code == 0
    ended = scorefold("inspect", "run", "lot", "--model", "new", "-o", "found", "--no-render", *SERIAL)
    assert ended.code == 0
    images = package.open_run("found").images.set_index("name")["score"]
    assert images[["t1", "t3"]].min() > images[["t0", "t2"]].max()


def test_a_part_is_located_first_and_its_absence_is_no_failure(lot, scorefold):
    part = cv2.imread("part.png", cv2.IMREAD_GRAYSCALE)
    rng = np.random.default_rng(11)
    ground = rng.integers(100, 156, (60, 70), np.uint8)
    for number, (y, x) in enumerate([(5, 7), (30, 40), (12, 33), (22, 10)]):
        image = ground.copy()
        image[y : y + 20, x : x + 24] = np.rot90(part, 2) if number == 3 else part
        Path("parts").mkdir(exist_ok=True)
        cv2.imwrite(f"parts/p{number}.png", image)
    ended = scorefold("inspect", "train", "parts", "-t", "part.png", "-o", "new", *SERIAL)
    assert (ended.code, ended.err) == (0, "")
    cv2.imwrite("parts/empty.png", rng.integers(100, 156, (60, 70), np.uint8))
    ended = scorefold("inspect", "run", "parts", "--model", "new", "-o", "found", *SERIAL)
    assert (ended.code, ended.err) == (0, "")
    assert "1 NOT_FOUND" in ended.out
    images = package.open_run("found").images.set_index("name")
    assert images.loc["empty", "verdict"] == "NOT_FOUND"
    assert images.loc["p1", ["y", "x"]].astype(float).round().tolist() == [40.0, 52.0]
    assert abs(images.loc["p3", "angle"] % 360 - 180) < 1


def test_more_images_are_added_to_a_model(lot, scorefold):
    first, second = [f"good/g{n}.png" for n in range(3)], [f"good/g{n}.png" for n in range(3, 6)]
    assert scorefold("inspect", "train", *first, "-o", "first", "--quiet", *SERIAL).code == 0
    ended = scorefold("inspect", "train", *second, "--add", "first", "-o", "both", *SERIAL)
    assert (ended.code, ended.err) == (0, "")
    assert "3 good images beside 1 model" in ended.out
    assert "learned from 6 images" in ended.out
    assert scorefold("inspect", "train", *second, "-o", "second", "--quiet", *SERIAL).code == 0
    ended = scorefold("inspect", "train", "--add", "first", "--add", "second", "-o", "merged", *SERIAL)
    assert (ended.code, ended.err) == (0, "")
    assert "learned from 6 images" in ended.out
    from scorefold.api.model import open_model

    learned = [open_model(name) for name in ("model", "both", "merged")]
    for name in ("count", "total", "total_of_squares"):
        for other in learned[1:]:
            assert (learned[0].arrays[name] == other.arrays[name]).all()


def save_maps() -> np.ndarray:
    maps = np.random.default_rng(2).uniform(0, 0.4, (4, 48, 56)).astype(np.float32)
    maps[1::2, 20:26, 30:37] += 0.5
    return maps


def write_npz(maps: np.ndarray) -> None:
    np.savez_compressed("maps.npz", **{f"t{number}": one for number, one in enumerate(maps)})


def write_stack(maps: np.ndarray) -> None:
    np.save("maps.npy", maps)


def write_png(maps: np.ndarray) -> None:
    Path("maps").mkdir()
    for number, one in enumerate(maps):
        cv2.imwrite(f"maps/t{number}.png", np.rint(one * 65535).astype(np.uint16))


@pytest.mark.parametrize(
    ("write", "given", "threshold"),
    [(write_npz, "maps.npz", "0.45"), (write_stack, "maps.npy", "0.45"), (write_png, "maps", "29500")],
    ids=["npz", "npy", "png"],
)
def test_maps_of_another_tool_are_measured(lot, scorefold, write, given, threshold):
    write(save_maps())
    ended = scorefold(
        "inspect", "maps", given, "--threshold", threshold, "--precision", "single", "-o", "found", *SERIAL
    )
    assert (ended.code, ended.err) == (0, "")
    assert "4 maps: 2 NG, 2 OK\n" in ended.out
    defects = package.open_run("found").defects
    assert defects["area"].tolist() == [38, 38]  # 6 x 7 without the corners, which the opening rounds


def test_maps_with_images_and_labels(lot, scorefold):
    write_png(save_maps())
    ended = scorefold(
        "inspect", "maps", "maps", "--images", "lot", "--labels", "labels.csv", "--threshold", "f1", "-o", "found",
        "--precision", "single", *SERIAL,
    )  # fmt: skip
    assert (ended.code, ended.err) == (0, "")
    assert "(f1)" in ended.out
    assert verdicts("found") == EXPECTED
    auto = scorefold("inspect", "maps", "maps", "--labels", "labels.csv", "-o", "auto", *SERIAL)
    assert "threshold" in auto.out
    assert auto.code == 0


def test_evaluate_prints_metrics_and_computes_no_map_again(inspected, scorefold):
    scored = commits(inspected, "score_images")
    ended = scorefold("evaluate", "inspected", "--masks", "masks", *SERIAL)
    assert (ended.code, ended.err) == (0, "")
    assert "AUPRO" in ended.out
    report = scorefold("evaluate", "inspected", "--json", *SERIAL)
    metrics = json.loads(report.out)
    assert metrics["images"]["AUROC"] == 1.0
    assert metrics["pixels"]["AUPRO"] > 0.9
    assert commits(inspected, "score_images") == scored
    by_labels = scorefold("evaluate", "inspected", "--labels", "labels.csv", "--json", "--no-render", *SERIAL)
    assert json.loads(by_labels.out) == {"images": metrics["images"], "pixels": {}}


def test_evaluate_without_both_kinds_says_so(inspected, scorefold):
    Path("l.csv").write_text("t0,good\nt2,good\n")
    ended = scorefold("evaluate", "inspected", "--labels", "l.csv", "--no-render", *SERIAL)
    assert ended.code == 0
    assert "no metrics" in ended.out


def test_masks_that_belong_to_no_image_are_warned_about(inspected, scorefold):
    shutil.copy("masks/t1_mask.png", "masks/t9_mask.png")
    ended = scorefold("evaluate", "inspected", "--masks", "masks", "--no-render", *SERIAL)
    assert ended.code == 0
    assert "1 of 3 are named like no image" in ended.err


def test_render_measures_anew_from_the_same_scores(inspected, scorefold):
    scored = commits(inspected, "score_images")
    ended = scorefold("render", "inspected", "--threshold", "0.01", *SERIAL)
    assert ended.code == 0
    assert "4 images: 4 NG\n" in ended.out
    assert Path("inspected/report.html").is_file()
    ended = scorefold("render", "inspected", "--threshold", "quantile:1", "--min-area", "40", *SERIAL)
    assert "(quantile:1)" in ended.out
    assert package.open_run("inspected").defects["area"].min() >= 40
    ended = scorefold("render", "inspected", "--threshold", "auto", "--min-area", "1000", "--quiet", *SERIAL)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert set(verdicts("inspected").values()) == {"OK"}
    assert commits(inspected, "score_images") == scored


@pytest.mark.parametrize(
    ("run", "title"), [("model", "standard model of 6 images"), ("inspected", "4 images inspected")]
)
def test_status_verify_gc_and_resume_of_finished_runs(inspected, scorefold, run, title):
    text, report = scorefold("status", run), json.loads(scorefold("status", run, "--json").out)
    assert text.out.startswith(f"{title}:\n")
    assert text.out.rstrip().endswith("finished")
    assert (report["finished"], report["rendered"]) == (True, True)
    assert "all agree" in scorefold("verify", run).out
    assert scorefold("gc", run).code == 0
    before = {path: path.read_bytes() for path in Path(run).rglob("*") if path.is_file()}
    ended = scorefold("resume", run, *SERIAL)
    assert (ended.code, ended.err) == (0, "")
    assert "wrote" in ended.out
    assert {path: path.read_bytes() for path in Path(run).rglob("*") if path.is_file()} == before
    assert scorefold("verify", run).code == 0


@pytest.mark.parametrize("run", ["model", "inspected"])
def test_resume_of_an_unfinished_run_ends_with_the_same_bytes(inspected, scorefold, output_of, run):
    before = output_of(run)
    for path in sorted(Path(run, "commits").glob("*"))[1:]:
        path.unlink()
    assert not json.loads(scorefold("status", run, "--json").out)["finished"]
    assert "scorefold resume" in scorefold("status", run).out
    assert scorefold("resume", run, *SERIAL).code == 0
    assert output_of(run) == before


def test_damaged_maps_are_found_and_computed_again(inspected, scorefold, output_of):
    before = output_of("inspected")
    chunk = next(path for path in Path("inspected/results").rglob("scores/c/*/*/*") if path.is_file())
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 0xFF
    chunk.write_bytes(data)
    ended = scorefold("verify", "inspected", "--discard")
    assert ended.code == 1
    assert "score_images" in ended.err
    assert scorefold("resume", "inspected", *SERIAL).code == 0
    assert scorefold("verify", "inspected").code == 0
    assert output_of("inspected") == before


def test_broken_images_are_rows_with_a_reason(lot, scorefold):
    Path("lot/broken.png").write_bytes(b"no image")
    cv2.imwrite("lot/small.png", np.zeros((9, 9), np.uint8))
    ended = scorefold("inspect", "run", "lot", "--model", "model", "-o", "found", *SERIAL)
    assert ended.code == 1
    assert [line.split(":")[0] for line in ended.err.splitlines()] == ["failed  broken.png", "failed  small"]
    assert "2 NG, 2 OK, 2 ERROR" in ended.out
    failures = package.open_run("found").images.set_index("name")["failure"]
    assert "(9, 9)" in failures["small"]
    assert failures["t0"] == ""
    shutil.copy("lot/broken.png", "good/broken.png")
    ended = scorefold("inspect", "train", "good", "-o", "new", *SERIAL)
    assert ended.code == 1
    assert "learned from 6 images; 1 image not used" in ended.out
    assert ended.err.startswith("failed  broken.png: ")


def test_colour_images_are_inspected_by_their_luma(lot, scorefold):
    for folder in ("good", "lot"):
        Path(f"{folder}-rgb").mkdir()
        for path in Path(folder).glob("*.png"):
            cv2.imwrite(f"{folder}-rgb/{path.name}", cv2.imread(str(path)))
    ended = scorefold("inspect", "train", "good-rgb", "--gray", "-o", "new", "--no-render", *SERIAL)
    assert (ended.code, ended.err) == (0, "")
    arguments = ("--model", "new", "--gray", "--no-render", "-o", "found")
    assert scorefold("inspect", "run", "lot-rgb", *arguments, *SERIAL).code == 0
    assert verdicts("found") == EXPECTED


@pytest.mark.system
def test_a_cluster_gives_the_same_files(lot, scorefold, output_of):
    arguments = ("inspect", "run", "lot", "--model", "model", "--export", "masks")
    assert scorefold(*arguments, "-o", "serial", *SERIAL).code == 0
    ended = scorefold(*arguments, "-o", "found", "--workers", "1")
    assert (ended.code, ended.err) == (0, "")
    assert "dashboard" in ended.out
    assert output_of("found") == output_of("serial")


def test_help_does_not_wait_for_what_does_the_work():
    program = (
        "import sys, scorefold.cli; print({'numpy', 'dask', 'scipy', 'zarr', 'cv2'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
