"""Our Dask configuration: a file that Dask's tools take, of which the user's own configuration overrides most."""

import os
import subprocess
import sys
from pathlib import Path

import dask
import pytest
from dask.utils import parse_timedelta

from scorefold.cluster import DASK_CONFIG, local

pytestmark = pytest.mark.timeout(60)

TIMEOUT = "distributed.comm.timeouts.tcp"
FAILURES = "distributed.scheduler.allowed-failures"
THREADS = "distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS"


def keys(config, prefix=""):
    for name, value in config.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_the_file_names_nothing_that_dask_does_not_know():
    ours = dask.config.collect([str(DASK_CONFIG)], env={})
    known = set(keys(dask.config.merge(*dask.config.defaults)))
    own = {"distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_"}
    assert set(keys(ours)) - known == own


def test_the_profile_is_in_force_where_the_user_has_configured_nothing():
    ours = dask.config.collect([str(DASK_CONFIG)], env={})
    found = local.configuration()
    assert {key: dask.config.get(key, config=found) for key in keys(ours)} == {
        key: dask.config.get(key, config=ours) for key in keys(ours)
    }
    assert dask.config.get(FAILURES, config=found) == 3
    # Dask asserts that its ten probes and a second fit in.
    assert parse_timedelta(dask.config.get(TIMEOUT, config=found)) > 11
    assert TIMEOUT in keys(ours)


def test_what_the_user_has_configured_goes_first_unless_results_depend_on_it():
    with dask.config.set({TIMEOUT: "45s", FAILURES: 10, THREADS: 8, "distributed.worker.daemon": True}):
        found = local.configuration()
    assert dask.config.get(TIMEOUT, config=found) == "45s"
    assert dask.config.get(FAILURES, config=found) == 10
    assert dask.config.get(THREADS, config=found) == 1
    assert dask.config.get("distributed.worker.multiprocessing-method", config=found) == "spawn"


def test_the_users_configuration_is_left_as_it_was():
    before = dask.config.get("distributed")
    copy = str(before)
    local.configuration()
    assert dask.config.get("distributed") is before
    assert str(before) == copy


def test_dasks_own_tools_read_the_file_where_dask_config_names_it():
    """As ``DASK_CONFIG=… dask scheduler`` does."""
    name = "from scorefold.cluster import DASK_CONFIG; print(DASK_CONFIG)"
    done = subprocess.run([sys.executable, "-c", name], capture_output=True, text=True, check=True)
    path = done.stdout.strip()
    assert Path(path) == DASK_CONFIG
    before = DASK_CONFIG.read_bytes()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import dask, distributed; print(dask.config.get({TIMEOUT!r}), dask.config.get({FAILURES!r}))",
        ],
        env={**os.environ, "DASK_CONFIG": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "15s 3\n"
    assert DASK_CONFIG.read_bytes() == before


def test_a_path_is_printed_without_waiting_for_dask():
    program = (
        "import sys; from scorefold.cluster.profile import DASK_CONFIG; print('distributed' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
