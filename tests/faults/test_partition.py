"""A network that is away for half a minute: the run ends with the bytes of a serial one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scorefold.cluster import DASK_CONFIG

SECONDS = 30


@pytest.mark.long
@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("ip") is None, reason="there is no command ip, which makes networks")
def test_a_run_survives_a_partition_of_its_network(new_run, output_of, serial_output, tmp_path, namespaced):
    run = new_run(rotation_block=1, batch_tiles=1, keep_states=True)
    script = str(Path(__file__).with_name("partition.py"))
    ended = subprocess.run(
        [*namespaced("--net"), sys.executable, script, run.store.location, "20", str(SECONDS)],
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
