"""A real S3 server in a process of its own, and scorefold's command line in others that use it."""

import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

SERVER = Path(__file__).with_name("s3_server.py")
COMMAND = (sys.executable, "-m", "scorefold")

Started: TypeAlias = "subprocess.Popen[str]"


class S3Server:
    """A server on loopback that can be killed and started again with what it had.

    Parameters
    ----------
    folder : Path
        Where it keeps that, and a log of the requests it got.
    """

    bucket = "lots"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "requests.log"
        self._told = 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "an-access-key-of-tests",
            "AWS_SECRET_ACCESS_KEY": "a-secret-of-tests",
            "AWS_REGION": "us-east-1",
        }
        self.start()
        request = urllib.request.Request(
            f"{self.environment['AWS_ENDPOINT_URL']}/{self.bucket}", method="PUT"
        )
        urllib.request.urlopen(request).close()

    def start(self) -> None:
        """Start it and wait until it answers; the test's time-out is the end of that."""
        command = [sys.executable, str(SERVER), str(self._port), str(self._folder)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        pause = threading.Event()
        while True:
            assert self._process.poll() is None, "the server has ended"
            try:
                urllib.request.urlopen(self.environment["AWS_ENDPOINT_URL"]).close()
            except OSError:
                pause.wait(0.05)
            else:
                return

    def kill(self) -> None:
        """Kill it at once."""
        self._process.kill()
        self._process.wait()

    def wait_for_a_request_in_vain(self) -> None:
        """Return once somebody has found out that it is dead; the test's time-out is the end of that."""
        with socket.create_server(("127.0.0.1", self._port)) as deaf:
            deaf.accept()[0].close()

    def requests(self) -> list[str]:
        """Return the requests it got since this was asked last: method, path and query."""
        lines = self._log.read_text().splitlines()
        self._told, new = len(lines), lines[self._told :]
        return new

    def logged(self, part: str) -> int:
        """Return how many requests contain a text."""
        return self._log.read_text().count(part)

    def scorefold(self, *arguments: object, folder: Path, program: Sequence[str] = COMMAND) -> Started:
        """Start the command line in a folder, with the server and its credentials in the environment."""
        return subprocess.Popen(
            [*program, *map(str, arguments)],
            cwd=folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def put(self, root: Path, prefix: str) -> str:
        """Store all files below a folder; return the URL."""
        for path in sorted(root.rglob("*")):
            if path.is_file():
                name = f"{self.bucket}/{prefix}/{path.relative_to(root).as_posix()}"
                self.put_object(name, path.read_bytes())
        return f"s3://{self.bucket}/{prefix}"

    def put_object(self, name: str, data: bytes) -> None:
        """Store bytes under the name of a bucket and a key."""
        url = f"{self.environment['AWS_ENDPOINT_URL']}/{name}"
        kind = {"Content-Type": "application/octet-stream"}
        urllib.request.urlopen(urllib.request.Request(url, data, kind, method="PUT")).close()

    def download(self, url: str, folder: Path) -> str:
        """Copy all objects below a URL into a folder; return the folder."""
        import obstore
        from obstore.store import S3Store

        prefix = url.removeprefix(f"s3://{self.bucket}/")
        keys = {"endpoint": "AWS_ENDPOINT_URL", "access_key_id": "AWS_ACCESS_KEY_ID"}
        keys |= {"secret_access_key": "AWS_SECRET_ACCESS_KEY", "region": "AWS_REGION"}
        options = {name: self.environment[key] for name, key in keys.items()}
        store = S3Store(self.bucket, config=options, client_options={"allow_http": True})
        for page in obstore.list(store, prefix):
            for described in page:
                path = folder / described["path"].removeprefix(f"{prefix}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(obstore.get(store, described["path"]).bytes())
        return str(folder)


@pytest.fixture(scope="module")
def new_s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], S3Server]]:
    """Start servers with one empty bucket: ``new_s3_server()``."""
    started: list[S3Server] = []

    def start() -> S3Server:
        started.append(S3Server(tmp_path_factory.mktemp("s3")))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="module")
def s3_server(new_s3_server: Callable[[], S3Server]) -> S3Server:
    """Return a server that the tests of a module share, each with a prefix of its own."""
    return new_s3_server()
