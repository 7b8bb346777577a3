"""The compose file keeps to its specification and to our own laws, and its monitoring to metrics that exist."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml
from distributed import LocalCluster
from prometheus_client import CollectorRegistry, generate_latest

from scorefold.cli.job_file import read_job
from scorefold.dashboard import Runs
from scorefold.dashboard.metrics import RunCollector

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
MONITORING = ROOT / "workflows" / "monitoring"
DASHBOARD = MONITORING / "grafana" / "dashboards" / "scorefold.json"

SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]
LASTING = [name for name, service in SERVICES.items() if "restart" in service]

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def expressions() -> list[str]:
    """Return what the dashboard asks Prometheus, its variables included."""
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return asked + [variable["query"] for variable in dashboard["templating"]["list"]]


def metrics(text: str) -> set[str]:
    return set(re.findall(r"\b(?:scorefold|dask)_\w+", text))


def test_the_file_keeps_to_the_compose_specification():
    words = ("-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE))
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@each_service
def test_ports_are_published_on_this_machine_alone(service):
    for port in service.get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+", port)


@each_service
def test_images_are_of_one_version(service):
    if "build" not in service:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])


def test_the_base_image_is_of_one_version():
    base = re.search(r"(?m)^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text())[1]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)


@each_service
def test_nothing_runs_as_root_or_can_become_it(service):
    user = service.get("user")
    if user is None:
        assert service["build"] == "."
        user = re.findall(r"(?m)^USER (\S+)$", (ROOT / "Dockerfile").read_text())[-1]
    assert int(user.split(":")[0]) > 0
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True


@pytest.mark.parametrize("name", LASTING)
def test_what_is_kept_up_tells_whether_it_is_well(name):
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@each_service
def test_a_service_waits_until_what_it_needs_is_well_or_done(service):
    for name, need in service.get("depends_on", {}).items():
        expected = "service_healthy" if name in LASTING else "service_completed_successfully"
        assert need["condition"] == expected


@each_service
def test_what_is_mounted_from_here_exists_and_is_read_only(service):
    volumes = yaml.safe_load(COMPOSE.read_text())["volumes"]
    for volume in service.get("volumes", ()):
        source, _, target = volume.partition(":")
        if source not in volumes:
            assert (ROOT / source).exists()
            assert target.endswith(":ro")


def test_the_job_that_is_submitted_is_one():
    folder, _, name = SERVICES["submit"]["command"][2].rpartition("/")
    (source,) = (v.partition(":")[0] for v in SERVICES["submit"]["volumes"] if v.endswith(f":{folder}:ro"))
    job = read_job(str(ROOT / source / name))
    assert job.values["scheduler"] == SERVICES["worker"]["command"][2]
    assert job.location.startswith(f"s3://{Path(SERVICES['bucket']['command'][-1]).name}/")


def test_prometheus_is_configured():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    words = (promtool, "check", "config", str(MONITORING / "prometheus.yml"))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_asks_the_scheduler_and_every_worker():
    jobs = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    scheduler, worker = (
        SERVICES[job["job_name"]]["command"][-1].removeprefix("0.0.0.0:") for job in jobs
    )  # --dashboard-address is their last option
    assert jobs[0]["static_configs"] == [{"targets": [f"scheduler:{scheduler}"]}]
    (names,) = jobs[1]["dns_sd_configs"]
    assert names["names"] == ["worker"]
    assert names["port"] == int(worker)


def test_grafana_asks_the_prometheus_that_it_is_given():
    (source,) = yaml.safe_load((MONITORING / "grafana/datasources/prometheus.yml").read_text())["datasources"]
    asked = set(re.findall(r'"type": "prometheus",\s*"uid": "(\w+)"', DASHBOARD.read_text()))
    assert asked == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"


def test_the_dashboard_shows_metrics_that_exist():
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
    ) as cluster:
        ports = [server.http_server.port for server in (cluster.scheduler, *cluster.workers.values())]
        texts = []
        for port in ports:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
                texts.append(page.read().decode())
    registry = CollectorRegistry()
    registry.register(RunCollector(Runs()))
    ours = metrics(generate_latest(registry).decode())
    asked = set().union(*map(metrics, expressions()))
    assert asked <= ours | metrics("\n".join(texts))
    assert asked >= ours
