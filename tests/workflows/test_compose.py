"""The containers are brought up by podman, and a job in them ends with a serial run's bytes though a worker is killed.

What cannot be had everywhere is replaced: debootstrap makes the base of the image; moto and Debian's Prometheus stand
in for the images of the store and of Prometheus (there is nothing for Grafana). All networks are in a namespace of the
test: nothing is published on the machine, and no address of it is taken. The base is kept for the next time.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from scorefold.cli.job_file import read_job

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
JOB = ROOT / "workflows" / "jobs" / "compose-match.yaml"
PROJECT = "scorefold-test"
NETWORK = f"/run/netns/{PROJECT}"
INSIDE = ("nsenter", f"--net={NETWORK}")
BASE, OURS, STAND_INS = (f"localhost/{PROJECT}-{name}:latest" for name in ("base", "image", "stand-ins"))
OF_THE_TEST = ("--filter", f"label=io.podman.compose.project={PROJECT}")
PACKAGES = ("podman", "runc", "debootstrap", "iptables", "nsenter", "ip")

SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]
OPEN = "import urllib.request as u; u.urlopen('http://127.0.0.1:{}', timeout=2)"

SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""

STAND_INS_FILE = f"""
FROM {OURS}
USER root
RUN apt-get update && apt-get install --yes --no-install-recommends prometheus
RUN pip install 'moto[s3,server]' && install -d -o 65534 /prometheus
USER 1000:1000
"""

OVERRIDE = f"""
services:
  bucket:
    image: {OURS}
  photographs:
    image: {OURS}
  scheduler:
    image: {OURS}
  worker:
    image: {OURS}
  submit:
    image: {OURS}
    command: !override ["scorefold", "submit", "/test/match.yaml", "--wait"]
    volumes: ["${{TEST_FOLDER}}:/test:ro"]
  store:
    image: {STAND_INS}
    command: ["moto_server", "--host", "0.0.0.0", "--port", "7070"]
    healthcheck:
      test: !override {json.dumps(["CMD", "python", "-c", OPEN.format("7070/moto-api/")])}
  prometheus:
    image: {STAND_INS}
    entrypoint: ["prometheus"]
    healthcheck:
      test: !override {json.dumps(["CMD", "python", "-c", OPEN.format("9090/-/ready")])}
networks:
  cluster:
    ipam:
      config:
        - subnet: 192.0.2.0/24
"""

DIGESTS = """
import hashlib, json, sys
import obstore
store = obstore.store.from_url("s3://scorefold")
names = [entry["path"] for batch in obstore.list(store, sys.argv[1]) for entry in batch]
print(json.dumps({name: hashlib.sha256(bytes(obstore.get(store, name).bytes())).hexdigest() for name in names}))
"""

CONTENT = """
import sys
import obstore
print(bytes(obstore.get(obstore.store.from_url("s3://scorefold"), sys.argv[1]).bytes()).decode())
"""

PAGE = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).read().decode())"
CREATE_BUCKET = (
    "import urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:7070/scorefold', method='PUT'))"
)


def run(*words: str, **environment: str) -> str:
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=os.environ | environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        pause.wait(0.2)


def containers(service: str) -> list[str]:
    of_service = ("--filter", f"label=com.docker.compose.service={service}")
    return run("podman", "ps", "--all", "--quiet", *OF_THE_TEST, *of_service).split()


def inspected(container: str, what: str) -> str:
    return run("podman", "inspect", "--format", f"{{{{.{what}}}}}", container).strip()


def logs(container: str) -> str:
    said = subprocess.run(("podman", "logs", container), capture_output=True, text=True, check=True)
    return said.stdout + said.stderr


def is_well(container: str) -> bool:
    done = subprocess.run(("podman", "healthcheck", "run", container), capture_output=True, check=False)
    return done.returncode == 0


def page(url: str) -> str:
    return run(*INSIDE, sys.executable, "-c", PAGE, url)


def in_the_store(script: str, name: str) -> str:
    """Return what a script says of the bucket, which it sees through the published port."""
    given = {"ENDPOINT_URL": "http://127.0.0.1:7070", "ALLOW_HTTP": "true", "REGION": "us-east-1"}
    given |= {"ACCESS_KEY_ID": "moto-takes", "SECRET_ACCESS_KEY": "any-credentials"}
    environment = {f"AWS_{name}": value for name, value in given.items()}
    return run(*INSIDE, sys.executable, "-c", script, name, **environment)


def stored(folder: str) -> dict[str, str]:
    """Return the digest of every object in a folder of the bucket by its name."""
    return json.loads(in_the_store(DIGESTS, folder))


def committed(stage: str) -> list[str]:
    return [name for name in stored("coins/commits") if Path(name).name.startswith(f"{stage}-")]


def shown(run_name: str) -> dict[str, str]:
    folders = ("results", "tables", "figures", "report.html")
    digests = stored(run_name)
    return {
        name.removeprefix(run_name): digest
        for name, digest in digests.items()
        if name.split("/")[1] in folders
    }


def take_down() -> None:
    for container in run("podman", "ps", "--all", "--quiet", *OF_THE_TEST).split():
        run("podman", "rm", "--force", "--time", "0", container)
    for volume in run("podman", "volume", "ls", "--quiet", *OF_THE_TEST).split():
        run("podman", "volume", "rm", volume)
    for network in run("podman", "network", "ls", "--quiet", *OF_THE_TEST).split():
        run("podman", "network", "rm", network)
    for image in (STAND_INS, OURS):
        if run("podman", "images", "--quiet", image):
            run("podman", "rmi", image)
    if Path(NETWORK).exists():
        run("ip", "netns", "del", PROJECT)


def build(image: str, file: str, *options: str) -> None:
    """Build an image; pip finds its registry as it does on this machine."""
    configured = ("/etc/pip.conf", "/etc/ssl/certs")
    mounts = [f"--volume={path}:{path}:ro" for path in configured if Path(path).exists()]
    run("podman", "build", "--network=host", *mounts, *options, f"--tag={image}", f"--file={file}", ".")


def make_base(folder: Path) -> None:
    """Make an image in which ``python`` and ``pip`` do what they do in the image that the Dockerfile names."""
    root = folder / "root"
    packages = "--include=python3,python3-pip,ca-certificates"
    run("debootstrap", "--variant=minbase", packages, "bookworm", str(root))
    (root / "usr/bin/python").symlink_to("python3")
    next(root.glob("usr/lib/python3.*/EXTERNALLY-MANAGED")).unlink()
    run("tar", "--create", f"--file={folder}/base.tar", f"--directory={root}", ".")
    run("podman", "import", f"{folder}/base.tar", BASE)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Run ``podman-compose`` on our file: ``compose("up", ...)``; in the end everything is taken down."""
    if os.geteuid():
        pytest.skip("containers with networks of their own need root")
    if missing := [name for name in PACKAGES if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)} (CONTRIBUTING.md)")
    if importlib.util.find_spec("podman_compose") is None:
        pytest.skip("not installed: podman-compose, from PyPI")
    folder = tmp_path_factory.mktemp("compose")
    folder.chmod(0o755)  # the user of the containers reads the job
    (folder / "containers.conf").write_text(SETTINGS)
    (folder / "Containerfile").write_text(STAND_INS_FILE)
    (folder / "override.yml").write_text(OVERRIDE)
    # A smaller step than that of our job: there is time to harm it.
    (folder / "match.yaml").write_text(yaml.safe_dump(yaml.safe_load(JOB.read_text()) | {"step": 1}))

    def call(*words: str) -> str:
        files = (f"--file={COMPOSE}", f"--file={folder}/override.yml")
        tool = (sys.executable, "-m", "podman_compose", f"--project-name={PROJECT}", *files)
        return run(*INSIDE, *tool, "--profile=monitoring", *words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(folder / "containers.conf"))
        patch.setenv("TEST_FOLDER", str(folder))
        patch.setenv("DISABLE_HC_SYSTEMD", "true")  # the test runs the health checks
        for name in ("STORE_KEY", "STORE_SECRET", "STORE_PORT", "DASHBOARD_PORT", "PROMETHEUS_PORT"):
            patch.delenv(name, raising=False)
        take_down()
        try:
            if not run("podman", "images", "--quiet", BASE):
                make_base(folder)
            build(OURS, "Dockerfile", f"--build-arg=BASE={BASE}")
            build(STAND_INS, str(folder / "Containerfile"))
            run("ip", "netns", "add", PROJECT)
            run(*INSIDE, "ip", "link", "set", "lo", "up")
            yield call
        finally:
            take_down()


@pytest.fixture(scope="module")
def up(compose: Callable[..., str]) -> Callable[..., None]:
    """Bring services up and wait until they are well or have ended: ``up("scheduler", "--scale=worker=2", ...)``.

    Podman 4.3 waits for no health check, and starts nothing again whose dependencies have ended: so the order is ours.
    """

    def call(*words: str) -> None:
        compose("up", "--detach", "--no-build", "--no-recreate", "--no-deps", *words)
        for service in (word for word in words if word in SERVICES):
            for container in containers(service):
                if "healthcheck" in SERVICES[service]:
                    wait_until(lambda name=container: is_well(name), 60)
                else:
                    assert run("podman", "wait", container).strip() == "0", logs(container)

    return call


@pytest.fixture(scope="module")
def cluster(up: Callable[..., None]) -> None:
    up("bucket", "photographs", "store", "scheduler")
    run(
        "podman", "exec", *containers("store"), "python", "-c", CREATE_BUCKET
    )  # moto keeps none on its volume
    up("--scale=worker=1", "worker")


def test_workers_are_added_to_a_cluster_that_works(cluster, up):
    assert page("http://127.0.0.1:8787/health").strip() == "ok"
    (first,) = containers("worker")
    up("--scale=worker=2", "worker")
    assert len(containers("worker")) == 2
    assert first in containers("worker")
    wait_until(lambda: "dask_scheduler_workers_added_total 2.0" in page("http://127.0.0.1:8787/metrics"), 60)


def test_a_job_has_the_bytes_of_a_serial_run_though_a_worker_is_killed(cluster, compose):
    compose("up", "--detach", "--no-build", "--no-deps", "submit")
    (submit,) = containers("submit")
    wait_until(lambda: committed("score_leaf") or inspected(submit, "State.Status") == "exited", 300)
    driver = json.loads(in_the_store(CONTENT, "coins/driver.json"))["host"]
    (victim,) = (name for name in containers("worker") if inspected(name, "Config.Hostname") != driver)
    os.kill(int(inspected(victim, "State.Pid")), signal.SIGKILL)
    assert committed("score_leaf"), logs(submit)
    assert not committed("write_result"), "the search had ended before the worker was killed"
    assert run("podman", "wait", submit).strip() == "0", logs(submit)
    wait_until(lambda: inspected(victim, "RestartCount") == "1" and is_well(victim), 60)

    alone = read_job(str(JOB)).with_values(
        {"step": 1.0, "scheduler": "serial", "out": "s3://scorefold/alone"}
    )
    compose("run", "--rm", "--no-deps", "-T", "submit", "scorefold", *alone.arguments())
    made = shown("coins")
    assert {"/report.html", "/tables/picks.csv", "/figures/brick.png"} <= made.keys()
    assert made == shown("alone")


def test_prometheus_has_what_the_dashboard_shows(cluster, up):
    up("prometheus")
    dashboard = json.loads((ROOT / "workflows/monitoring/grafana/dashboards/scorefold.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]

    def answer(query: str) -> list[dict]:
        query = query.replace("$__rate_interval", "1m").replace("$run", ".*")
        answered = json.loads(page(f"http://127.0.0.1:9090/api/v1/query?query={quote(query)}"))
        assert answered["status"] == "success"
        return answered["data"]["result"]

    wait_until(lambda: [found["value"][1] for found in answer("up")] == ["1", "1", "1"], 60)
    for query in asked:
        if "scorefold_run_images" not in query:  # a search has no verdicts
            wait_until(lambda query=query: answer(query), 60)
