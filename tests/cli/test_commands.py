"""Every command once, from start to end, on images of a few pixels."""

import json
import os
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import pandas as pd
import pytest

import scorefold as package


def commits(run: Path, stage: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "commits").glob(f"{stage}-*")}


def size_of(run: Path) -> int:
    return sum(path.stat().st_size for path in run.rglob("*") if path.is_file())


def outside_commits(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.relative_to(run).parts[0] not in ("commits", "states")
    }


def test_version(scorefold):
    assert scorefold("--version").out == f"scorefold {package.__version__}\n"


@pytest.mark.parametrize(
    "command",
    ["match", "plan", "status", "resume", "verify", "gc", "render", "demo", "demo match", "demo inspect"],
)
def test_help_of_every_command(scorefold, command):
    ended = scorefold(*command.split(), "--help")
    assert ended.code == 0
    assert "Usage" in ended.out
    assert ended.err == ""


def test_match_finds_the_part_and_says_where_things_are(folder, scorefold, quick):
    ended = scorefold("match", "good.png", "shifted.png", "-t", "part.png", "-o", "run", *quick)
    assert (ended.code, ended.err) == (0, "")
    assert "2 picks in 2 targets" in ended.out
    assert "run/tables/picks.csv" in ended.out
    assert "run/report.html" in ended.out
    picks = package.open_run("run").picks.set_index("target")
    assert picks[["y", "x"]].round(1).loc["good"].tolist() == [17.0, 25.0]
    assert picks[["y", "x"]].round(1).loc["shifted"].tolist() == [22.0, 28.0]
    figures = {path.relative_to("run/figures").as_posix() for path in Path("run/figures").rglob("*.png")}
    assert figures == {"good.png", "shifted.png", "sheets/grid-000.png"}


def test_one_pick_is_not_plural(folder, scorefold, quick):
    ended = scorefold("match", "good.png", "-t", "part.png", "-o", "run", "--no-render", *quick)
    assert "1 target, 4 rotations" in ended.out
    assert "1 pick in 1 target:\n" in ended.out
    assert "report.html" not in ended.out
    assert not Path("run/report.html").exists()


def test_no_picks_says_how_far_away_the_best_scores_are(folder, scorefold, quick):
    ended = scorefold("match", "good.png", "-t", "part.png", "-o", "a run", *quick, "--threshold", "1.5")
    assert ended.code == 0
    assert "no picks" in ended.out
    assert "good: best score 1, threshold 1.5" in ended.out
    assert "a run' --threshold VALUE" in ended.out  # quoted, so that it can be pasted


def test_quiet_prints_nothing(folder, scorefold, quick):
    ended = scorefold("match", "good.png", "-t", "part.png", "-o", "run", "--quiet", *quick)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    for command in ("resume", "render"):
        ended = scorefold(command, "run", "--quiet", "--scheduler", "serial")
        assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_plan_tells_what_match_does_and_writes_nothing(folder, scorefold, quick):
    arguments = ("good.png", "shifted.png", "-t", "part.png", *quick)
    before = sorted(folder.rglob("*"))
    text = scorefold("plan", *arguments)
    report = scorefold("plan", *arguments, "--json")
    assert (text.code, report.code) == (0, 0)
    assert sorted(folder.rglob("*")) == before
    assert "4 angles from 0 to 360 degrees" in text.out
    plan = json.loads(report.out)
    assert (plan["targets"], plan["tiles"], plan["rotations"]) == (2, 2, 4)
    assert plan["score"] == "FLC"
    assert plan["unreadable"] == {}
    assert plan["worker_bytes"] <= plan["memory_limit"] == 2 * 2**30
    assert plan["result_bytes"] == 2 * 48 * 48 * 8
    assert 0 < plan["seconds"] < 60
    run = scorefold("match", *arguments, "-o", "run", "--keep-states")
    assert run.code == 0
    assert len(commits(folder / "run", "score_leaf")) == plan["leaves"]


def test_plan_is_as_many_times_faster_as_there_are_workers(folder, scorefold):
    arguments = ("plan", "good.png", "-t", "part.png", "--step", "1", "--json")
    plan = json.loads(scorefold(*arguments, "--workers", "7").out)
    assert plan["workers"] == 7
    assert json.loads(scorefold(*arguments, "--scheduler", "serial").out)["workers"] == 1


def test_status_of_a_finished_run(finished_run, scorefold):
    text, report = scorefold("status", "run"), scorefold("status", "run", "--json")
    assert (text.code, report.code) == (0, 0)
    assert "part.png in 2 targets:\n" in text.out
    assert text.out.rstrip().endswith("finished")
    status = json.loads(report.out)
    assert status["finished"]
    assert status["rendered"]
    assert all(stage["done"] == stage["total"] for stage in status["stages"].values())


def test_status_of_a_run_without_pictures(folder, scorefold, quick):
    scorefold("match", "good.png", "-t", "part.png", "-o", "run", "--no-render", *quick)
    text, report = scorefold("status", "run"), json.loads(scorefold("status", "run", "--json").out)
    assert (report["finished"], report["rendered"]) == (True, False)
    assert "finished without pictures" in text.out
    assert scorefold("resume", "run", "--scheduler", "serial").code == 0
    assert Path("run/report.html").is_file()


def test_resume_of_a_finished_run_changes_nothing(finished_run, scorefold):
    before = {path: path.read_bytes() for path in finished_run.rglob("*") if path.is_file()}
    ended = scorefold("resume", "run", "--scheduler", "serial")
    assert ended.code == 0
    assert "2 picks in 2 targets" in ended.out
    assert {path: path.read_bytes() for path in finished_run.rglob("*") if path.is_file()} == before


def test_resume_of_an_unfinished_run_ends_with_the_same_bytes(finished_run, scorefold):
    before = outside_commits(finished_run)
    for stage in ("score_leaf", "merge_", "write_result", "call_picks", "render", "report"):
        for path in (finished_run / "commits").glob(f"{stage}*"):
            path.unlink()
    (finished_run / "report.html").unlink()
    assert not json.loads(scorefold("status", "run", "--json").out)["finished"]
    assert "scorefold resume" in scorefold("status", "run").out
    assert scorefold("resume", "run", "--scheduler", "serial").code == 0
    assert outside_commits(finished_run) == before


def test_verify_and_damage(finished_run, scorefold):
    good = scorefold("verify", "run")
    assert (good.code, good.err) == (0, "")
    assert "all agree" in good.out
    chunk = next(path for path in (finished_run / "results/good/scores").rglob("c/*/*") if path.is_file())
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 0xFF
    chunk.write_bytes(data)
    bad, report = scorefold("verify", "run"), scorefold("verify", "run", "--json")
    assert (bad.code, report.code) == (1, 1)
    (key,) = json.loads(report.out)["damaged"]
    assert key.startswith("write_result")
    assert f"damaged  {key}: " in bad.err
    assert "scorefold resume" in bad.err
    table = finished_run / "tables/picks.csv"
    text = table.read_text()
    table.write_text(text.replace("good", "evil"))
    (finished_run / "figures/good.png").unlink()
    discarded = scorefold("verify", "run", "--discard")
    assert discarded.code == 1
    assert "picks.csv" in discarded.err
    assert "good.png" in discarded.err
    assert scorefold("resume", "run", "--scheduler", "serial").code == 0
    assert scorefold("verify", "run").code == 0
    assert table.read_text() == text


def test_gc_shrinks_a_run_that_still_verifies_and_renders(finished_run, scorefold):
    before, searched = size_of(finished_run), commits(finished_run, "write_result")
    ended = scorefold("gc", "run")
    assert ended.code == 0
    assert "removed" in ended.out
    assert size_of(finished_run) < before
    assert not commits(finished_run, "score_leaf")
    assert scorefold("gc", "run").out == "nothing to remove\n"
    assert scorefold("verify", "run").code == 0
    assert scorefold("render", "run", "--threshold", "0.2", "--scheduler", "serial").code == 0
    assert commits(finished_run, "write_result") == searched
    assert not commits(finished_run, "score_leaf")


def test_render_calls_other_picks_from_the_same_scores(finished_run, scorefold):
    searched = {**commits(finished_run, "score_leaf"), **commits(finished_run, "write_result")}
    few = len(package.open_run("run").picks)
    ended = scorefold("render", "run", "--threshold", "0.2", "--min-distance", "2", "--scheduler", "serial")
    assert ended.code == 0
    assert len(package.open_run("run").picks) > few
    ended = scorefold("render", "run", "--top", "1", "--whole-pixel", "--scheduler", "serial")
    picks = package.open_run("run").picks
    assert picks["target"].tolist() == ["good", "shifted"]
    assert picks[["y", "x"]].to_numpy().tolist() == [[17.0, 25.0], [22.0, 28.0]]
    assert "2 picks in 2 targets" in ended.out
    now = {**commits(finished_run, "score_leaf"), **commits(finished_run, "write_result")}
    assert now == searched


def test_one_broken_image_does_not_end_a_batch(folder, scorefold, quick):
    Path("broken.png").write_bytes(b"no image")
    np.save("flat.npy", np.ones((48, 48)))
    ended = scorefold(
        "match", "good.png", "broken.png", "flat.npy", "shifted.png", "-t", "part.png", "-o", "run", *quick
    )
    assert ended.code == 1
    assert [line.split(":")[0] for line in ended.err.splitlines()] == ["failed  broken.png", "failed  flat"]
    assert "2 picks in 2 targets" in ended.out
    for images in (
        pd.read_csv("run/tables/images.csv", comment="#", keep_default_na=False),
        pd.read_parquet("run/tables/images.parquet"),
    ):
        failed = images.set_index("target")["failure"]
        assert failed["good"] == failed["shifted"] == ""
        assert failed["broken.png"] != ""
        assert "equal" in failed["flat"]
    report = Path("run/report.html").read_text()
    assert "broken.png" in report
    assert "all pixels are equal" in report
    assert json.loads(scorefold("status", "run", "--json").out)["unreadable"].keys() == {"broken.png", "flat"}
    assert scorefold("plan", "good.png", "broken.png", "-t", "part.png", *quick).code == 1


def test_broken_images_of_one_name_are_both_listed(folder, scorefold, quick):
    for name in ("one", "two"):
        Path(name).mkdir()
        Path(name, "broken.png").write_bytes(b"no image")
    ended = scorefold("match", "good.png", "one", "two", "-t", "part.png", "-o", "run", *quick)
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 2
    assert "two/broken.png" in ended.err


def test_many_failures_are_summed_up(folder, scorefold, quick):
    for number in range(30):
        Path(f"broken-{number:02d}.png").write_bytes(b"no image")
    ended = scorefold("plan", ".", "-t", "part.png", *quick)
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 21
    assert ended.err.endswith("… and 10 more failed\n")


def test_a_folder_with_template_and_earlier_run_gives_the_images_alone(folder, scorefold, quick):
    for number in range(2):
        ended = scorefold("match", ".", "-t", "part.png", "-o", f"run-{number}", "--no-render", *quick)
        assert (ended.code, ended.err) == (0, "")
        assert set(package.open_run(f"run-{number}").scores) == {"good", "shifted"}


def test_template_and_volume_of_different_pixel_size_are_warned_about(folder, scorefold):
    rng = np.random.default_rng(1)
    for name, shape, size in (("volume.mrc", (16, 16, 16), 10.0), ("part.mrc", (5, 5, 5), 13.5)):
        with mrcfile.new(name, rng.normal(size=shape).astype(np.float32)) as file:
            file.set_volume()
            file.voxel_size = size
    ended = scorefold("plan", "volume.mrc", "-t", "part.mrc", "--mask", "sphere", "--step", "90")
    assert ended.code == 0
    assert ended.err.startswith('warning  target "volume": pixel size 10 angstrom, template "part.mrc" 13.5')
    assert ended.err.count("\n") == 1
    given = scorefold("plan", "volume.mrc", "-t", "part.mrc", "--step", "90", "--pixel-size", "10")
    assert given.err == ""


def test_channel_is_for_colour_files_only(folder, scorefold, quick):
    gray = cv2.imread("good.png", cv2.IMREAD_GRAYSCALE)
    cv2.imwrite("colour.png", np.dstack([gray // 3, gray, gray // 2]))
    ended = scorefold("match", "colour.png", "-t", "part.png", "--channel", "1", "-o", "run", *quick)
    assert ended.code == 0
    assert package.open_run("run").picks["score"].item() > 0.999


def test_the_environment_names_a_scheduler_unless_workers_are_given(folder, scorefold, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "serial")
    arguments = ("plan", "good.png", "-t", "part.png", "--step", "90", "--json")
    assert json.loads(scorefold(*arguments).out)["workers"] == 1
    assert json.loads(scorefold(*arguments, "--workers", "3").out)["workers"] == 3


def test_output_into_a_closed_pipe_ends_without_complaint(finished_run, scorefold_process):
    reading, writing = os.pipe()
    os.close(reading)
    ended = scorefold_process("status", "run", stdout=writing)
    os.close(writing)
    assert ended.code != 0
    assert ended.err == ""
