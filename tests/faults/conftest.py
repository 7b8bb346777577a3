"""Namespaces of one's own, for faults that nobody else must see."""

import subprocess
from collections.abc import Callable

import pytest


@pytest.fixture
def namespaced() -> Callable[..., tuple[str, ...]]:
    """Return what comes before a command: ``namespaced("--mount")`` for mounts of its own, ``"--net"`` a network."""

    def prefix(kind: str) -> tuple[str, ...]:
        words = ("unshare", "--map-root-user", kind)
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
            pytest.skip("this system forbids namespaces of users")
        return words

    return prefix
