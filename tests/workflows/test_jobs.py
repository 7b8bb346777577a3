"""The job files and the notebook among the workflows run as they are, on the data of the demonstrations."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from scorefold.cli.job_file import read_job
from scorefold.demo import coin_scene, label_scene, particle_scene

WORKFLOWS = Path(__file__).parents[2] / "workflows"

pytestmark = [pytest.mark.system, pytest.mark.timeout(170)]


@pytest.fixture
def submit(tmp_path, monkeypatch):
    """Submit a job file of the workflows to the background of this machine, and wait: ``submit(name)``."""
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    shutil.copytree(WORKFLOWS / "jobs", tmp_path / "workflows" / "jobs")

    def run(name):
        words = ["submit", f"workflows/jobs/{name}.yaml", "--scheduler", "serial", "--wait"]
        ended = subprocess.run(
            [sys.executable, "-m", "scorefold", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    return run


def test_a_search_in_photographs(submit, tmp_path):
    coin_scene(tmp_path / "demo-match" / "coins")
    submit("match-2d")
    assert len(pd.read_parquet(tmp_path / "found-2d" / "tables" / "picks.parquet")) == 19


@pytest.mark.long
def test_a_search_in_a_volume(submit, tmp_path):
    particle_scene(tmp_path / "demo-match" / "particles")
    submit("match-3d")
    assert len(pd.read_parquet(tmp_path / "found-3d" / "tables" / "picks.parquet")) == 5


def test_a_training_and_an_inspection(submit, tmp_path):
    scene = label_scene(tmp_path / "demo-inspect" / "label", good=8, sound=2, defective=1)
    submit("inspect-train")
    submit("inspect-run")
    images = pd.read_parquet(tmp_path / "inspected" / "tables" / "images.parquet")
    kinds = images["path"].map(lambda path: Path(path).parent.name)
    assert len(images) == sum(len(list(folder.iterdir())) for folder in scene.images)
    assert set(images["verdict"][kinds == "no-label"]) == {"NOT_FOUND"}
    assert "NG" in set(images["verdict"])


@pytest.mark.parametrize("path", sorted((WORKFLOWS / "jobs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_job_file_can_be_read(path):
    if path.name == "slurm.yaml":
        pytest.skip("it describes a cluster")
    assert read_job(str(path)).arguments()


def test_the_notebook_runs_from_its_first_cell_to_its_last():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(WORKFLOWS / "notebook.ipynb", 4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    notebook.cells[1].source = notebook.cells[1].source.replace("STEP = 3.0", "STEP = 12.0")
    nbclient.NotebookClient(notebook, timeout=150, kernel_name="python3").execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert any("picks, " in output.get("text", "") for output in shown)
