"""How much memory the workers of a driver have taken, as Linux counts it."""

from pathlib import Path


def peak_memory_of_workers(driver: int) -> dict[int, int]:
    """Return the peak resident set (KiB) so far of the processes below a driver that run Dask workers.

    Parameters
    ----------
    driver : int
        Process that has started the workers by the spawn method.

    Returns
    -------
    dict of int to int
        By process; of those that are there at the moment. Empty where there is no ``/proc``.
    """
    peaks = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            command = (status.parent / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if int(fields["PPid"]) == driver and b"spawn_main" in command and "VmHWM" in fields:
            peaks[int(fields["Pid"])] = int(fields["VmHWM"].split()[0])
    return peaks
