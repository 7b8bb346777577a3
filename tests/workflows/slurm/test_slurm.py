"""The workflow on a SLURM of its own: whatever becomes of its jobs, its results have the bytes of a serial run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import scorefold
from scorefold.demo import coin_scene

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(400)]

HERE = Path(__file__).parent
WORKFLOW = HERE.parents[2] / "workflows" / "slurm.py"
STEP = 2.0
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
COMMANDS = ("unshare", "ip", "munged", "slurmctld", "slurmd", "sbatch")


@pytest.fixture(scope="module", autouse=True)
def needs() -> None:
    """Skip where there can be no SLURM."""
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        pytest.skip(
            f"no command {', '.join(missing)}; Debian has them in slurm-wlm, munge, iproute2 and util-linux"
        )
    if os.geteuid() != 0:
        pytest.skip("a controller and its nodes are started by root alone")
    if subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system forbids namespaces")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the workflow writes: always the same, since tables name the images by their paths."""
    return tmp_path_factory.mktemp("workflow") / "out"


@pytest.fixture(scope="module")
def expected(place, output_of):
    """What one process makes of the workflow's search."""
    scene = coin_scene(place / "data")
    search = {"mask": "disk", "mask_radius": 22, "step": STEP, "threshold": 0.6}
    scorefold.match(scene.targets, scene.template, out=place / "run", scheduler="serial", **search)
    return output_of(str(place / "run"))


@pytest.fixture
def out(place):
    """The folder, which is not there."""
    shutil.rmtree(place, ignore_errors=True)
    return place


@pytest.fixture
def on_slurm(tmp_path):
    """Run a command beside a SLURM."""

    def start(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*NAMESPACES, sys.executable, str(HERE / "own_slurm.py"), str(tmp_path / "slurm"), *command],
            capture_output=True,
            text=True,
            check=False,
        )

    return start


@pytest.fixture
def workflow(tmp_path, out):
    """Return the workflow's command, with a configuration of jobs for the SLURM's nodes."""

    def command(**configuration: object) -> tuple[str, ...]:
        (tmp_path / "logs").mkdir(exist_ok=True)
        file = tmp_path / "jobs.json"  # which is YAML, too
        ours = {"interface": "cluster", "log_directory": str(tmp_path / "logs")}
        file.write_text(json.dumps({**ours, **configuration}))
        options = ("--out", str(out), "--config", str(file), "--step", str(STEP))
        return (sys.executable, str(WORKFLOW), *options)

    return command


def test_the_workflow_runs_to_its_end_with_the_bytes_of_a_serial_run(
    on_slurm, expected, workflow, out, tmp_path, output_of
):
    done = on_slurm(*workflow(), "--partition", "short")
    assert done.returncode == 0, done.stderr
    assert "report: " in done.stdout
    assert output_of(str(out / "run")) == expected
    assert len(list((tmp_path / "logs").glob("*.err"))) == 2, "jobs"


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.long)], ids=["one", "both"])
def test_jobs_that_are_cancelled_half_way_change_nothing(
    on_slurm, expected, workflow, out, tmp_path, output_of, count
):
    run = out / "run"
    done = on_slurm(sys.executable, str(HERE / "cancel_jobs.py"), str(run), str(count), *workflow())
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["code"] == 0, found["err"]
    assert len(found["cancelled"]) == count
    assert found["committed"] >= 4
    assert not found["finished"]
    assert output_of(str(run)) == expected
    if count == 2:
        assert len(list((tmp_path / "logs").glob("*.err"))) > 2, "nobody else could finish the run"


def test_a_submitted_job_has_its_driver_in_the_queue_as_well(on_slurm, expected, out, tmp_path, output_of):
    coin_scene(out / "data")
    (tmp_path / "logs").mkdir()
    jobs = {"queue": "short", "interface": "cluster", "log_directory": str(tmp_path / "logs")}
    job = {
        "command": "match",
        "targets": [
            str(out / "data" / f"{name}.png") for name in ("coins-turned", "brick", "gravel", "grass")
        ],
        "template": str(out / "data" / "coin.png"),
        "mask": "disk",
        "mask-radius": 22,
        "step": STEP,
        "threshold": 0.6,
        "out": str(out / "run"),
        "cluster": "slurm",
        "cluster-config": {**jobs, "driver": {"memory": "1GiB", "walltime": "00:20:00"}},
    }
    (tmp_path / "job.yaml").write_text(json.dumps(job))
    done = on_slurm(sys.executable, "-m", "scorefold", "submit", str(tmp_path / "job.yaml"), "--wait")
    assert done.returncode == 0, done.stdout + done.stderr + (out / "run.log").read_text()
    assert re.search(r'driven by job (\d+) of slurm \("scancel \1" while it queues\)', done.stdout)
    assert done.stdout.endswith("finished\n")
    found = output_of(str(out / "run"))
    assert found.pop("report.html")  # it says in other words what was asked for
    assert found == {name: data for name, data in expected.items() if name != "report.html"}


@pytest.mark.parametrize(
    ("options", "configuration", "says"),
    [
        (("--partition", "nowhere"), {}, "sbatch: error: invalid partition specified: nowhere"),
        ((), {"memory": "900GiB"}, "Memory specification can not be satisfied"),
        ((), {"interface": "nothing"}, "'nothing' is not a valid network interface"),
    ],
)
def test_what_the_batch_system_cannot_do_is_said_in_one_line(
    on_slurm, workflow, out, options, configuration, says
):
    done = on_slurm(*workflow(**configuration), *options)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith('scorefold.errors.InputError: cluster "slurm": ')
    assert says in last
    assert not (out / "run").exists()
