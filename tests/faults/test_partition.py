"""A network that is away for half a minute: the run ends with the bytes of a serial one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scorefold.cluster import DASK_CONFIG

SECONDS = 30


def namespaces_allowed():
    """Whether this system lets its users have networks of their own."""
    tried = subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.skipif(not namespaces_allowed(), reason="this system forbids namespaces of users, or lacks ip")
def test_a_run_survives_a_partition_of_its_network(new_run, output_of, serial_output, tmp_path):
    run = new_run(rotation_block=1, batch_tiles=1, keep_states=True)
    script = str(Path(__file__).with_name("partition.py"))
    ended = subprocess.run(
        ["unshare", "-rn", sys.executable, script, run.store.location, "20", str(SECONDS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DASK_CONFIG": str(DASK_CONFIG)},
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["code"] == 0, (tmp_path / "driver.log").read_text()
    assert 20 <= found["at cut"] < found["at return"], "work went on where the network was"
    assert found["at return"] < len(run.store.committed()), "the run ended before the network was back"
    assert output_of(run.store.location) == serial_output()
