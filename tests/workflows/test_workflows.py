"""The workflows run as they are, at a coarser step, and find what is planted."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from distributed import LocalCluster

pytestmark = pytest.mark.system

WORKFLOWS = Path(__file__).parents[2] / "workflows"


def run(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(WORKFLOWS / script), *arguments],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(180)
def test_local_finds_the_coins_and_picks_again(tmp_path):
    output = run("local.py", "--out", str(tmp_path / "out"), "--step", "8", "--workers", "1")
    assert re.search(r"19 picks above 0.6, \d+ above 0.85", output)
    picks = pd.read_parquet(tmp_path / "out" / "run" / "tables" / "picks.parquet")
    assert (picks["score"] >= 0.85).all()
    assert (tmp_path / "out" / "run" / "report.html").stat().st_size > 10_000


@pytest.mark.long
@pytest.mark.timeout(180)
def test_match_3d_writes_particles_and_a_finer_search_scores_higher(tmp_path):
    run("match_3d.py", "--out", str(tmp_path / "out"), "--step", "30", "--workers", "1")
    coarse, fine = (
        pd.read_parquet(tmp_path / "out" / name / "tables" / "picks.parquet") for name in ("coarse", "fine")
    )
    assert len(coarse) == 5
    assert (tmp_path / "out" / "coarse" / "tables" / "picks.star").exists()
    assert fine["score"].max() >= coarse["score"].max()


@pytest.mark.timeout(180)
def test_remote_cluster_searches_on_the_scheduler_that_it_is_given(tmp_path, monkeypatch, capsys):
    with LocalCluster(
        processes=False,
        n_workers=1,
        threads_per_worker=1,
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
    ) as cluster:
        options = ["--out", str(tmp_path / "out"), "--step", "8", "--scheduler", cluster.scheduler_address]
        monkeypatch.setattr(sys, "argv", ["remote_cluster.py", *options])
        runpy.run_path(str(WORKFLOWS / "remote_cluster.py"), run_name="__main__")
    assert "report: " in capsys.readouterr().out
    assert len(pd.read_parquet(tmp_path / "out" / "run" / "tables" / "picks.parquet")) == 19


@pytest.mark.long
@pytest.mark.timeout(180)
def test_remote_cluster_starts_a_cluster_if_it_is_given_none(tmp_path):
    output = run("remote_cluster.py", "--out", str(tmp_path / "out"), "--step", "8")
    assert "dashboard: http://127.0.0.1:" in output
    assert len(pd.read_parquet(tmp_path / "out" / "run" / "tables" / "picks.parquet")) == 19


@pytest.mark.long
@pytest.mark.timeout(180)
def test_inspect_parts_finds_what_is_planted_and_measures_again(tmp_path):
    output = run(
        "inspect_parts.py", "--out", str(tmp_path / "out"), "--good", "6", "--lot", "1", "--workers", "1"
    )
    assert re.search(r"AUROC +1\.0+ ", output)
    images = pd.read_parquet(tmp_path / "out" / "run" / "tables" / "images.parquet")
    assert images["name"][images["verdict"] == "NOT_FOUND"].tolist() == ["other-label-000", "no-label-000"]
    first, second = map(float, re.search(r"threshold ([\d.]+), then ([\d.]+)", output).groups())
    assert first != second
    assert images["threshold"].round(2).unique().tolist() == [pytest.approx(second, abs=0.006)]
