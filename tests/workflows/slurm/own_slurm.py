"""Runs a command beside a SLURM of its own: a controller and two nodes of one core each, on this machine.

Called with a new folder and the command, in namespaces of its own for mounts, processes and network; when it ends, all
that it has started ends with its processes' namespace. Nothing of it is left but the folder.
"""

import os
import platform
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

NODES = ("one", "two")
ADDRESS, INTERFACE = "192.0.2.1", "cluster"
MEGABYTES = 8192
START_SECONDS = 60

CONFIGURATION = """
ClusterName=own
SlurmctldHost={host}({address})
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0
ReturnToService=2
PartitionName=short Nodes=ALL Default=YES MaxTime=60 State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr={address} Port={port} CPUs=1 RealMemory={memory}\n"


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def wait_until(condition, what: str) -> None:
    deadline, pause = time.monotonic() + START_SECONDS, threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"no {what} within {START_SECONDS} s")
        pause.wait(0.1)


def start_network() -> None:
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", INTERFACE, "type", "veth", "peer", "name", "other-end")
    run("ip", "addr", "add", f"{ADDRESS}/24", "dev", INTERFACE)
    for name in (INTERFACE, "other-end"):
        run("ip", "link", "set", name, "up")


def start_munge(folder: Path) -> None:
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    files = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munge.pid"}
    files |= {"log-file": folder / "munge.log", "seed-file": folder / "munge.seed"}
    run("munged", "--force", *(f"--{name}={path}" for name, path in files.items()))


def start_slurm(folder: Path) -> None:
    place = {"host": platform.node(), "address": ADDRESS}
    nodes = (
        NODE.format(name=name, port=17003 + index, memory=MEGABYTES, **place)
        for index, name in enumerate(NODES)
    )
    file = folder / "slurm.conf"
    file.write_text(CONFIGURATION.format(folder=folder, **place) + "".join(nodes))
    os.environ["SLURM_CONF"] = str(file)
    run("slurmctld")
    for name in NODES:
        (folder / name).mkdir()
        run("slurmd", "-N", name)
    wait_until(lambda: run("sinfo", "--noheader", "--format=%T %D").split() == ["idle", "2"], "idle nodes")


def main() -> int:
    folder = Path(sys.argv[1])
    (folder / "state").mkdir(parents=True)
    start_network()
    start_munge(folder)
    start_slurm(folder)
    return subprocess.run(sys.argv[2:], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
