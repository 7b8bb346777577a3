"""An S3 server that outlives being killed: moto, with a journal of what changed it, which it repeats when it starts.

``python s3_server.py PORT FOLDER``; ``FOLDER/requests.log`` has a line for each request, written before its answer.
Buckets whose names begin with ``forbidden`` are refused.
"""

import base64
import io
import json
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import moto.s3.models
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple
from werkzeug.test import Client

DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class KeptServer:
    """A WSGI application: moto's, with the log and the journal."""

    def __init__(self, folder: Path) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        journal = folder / "journal"
        self._repeat(journal)
        self._journal = journal.open("ab")
        self._log = (folder / "requests.log").open("ab")

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
        with self._lock:
            self._log.write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{query}\n".encode())
            self._log.flush()
            if environ["REQUEST_METHOD"] in ("PUT", "POST", "DELETE"):
                self._note(environ, body)
        if environ["PATH_INFO"].startswith("/forbidden"):
            start_response("403 Forbidden", [("Content-Length", str(len(DENIED)))])
            return [DENIED]
        return self._moto(environ, start_response)

    def _note(self, environ, body: bytes) -> None:
        plain = {name: value for name, value in environ.items() if isinstance(value, str)}
        entry = {
            "environ": plain,
            "body": base64.b64encode(body).decode(),
            "at": datetime.now(UTC).timestamp(),
        }
        self._journal.write(json.dumps(entry).encode() + b"\n")
        self._journal.flush()

    def _repeat(self, journal: Path) -> None:
        lines = (
            journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
        )  # the last may be cut short
        journal.write_bytes(b"".join(line + b"\n" for line in lines))
        client = Client(self._moto)
        now = moto.s3.models.utcnow
        for entry in map(json.loads, lines):
            moment = datetime.fromtimestamp(entry["at"], UTC).replace(tzinfo=now().tzinfo)
            moto.s3.models.utcnow = lambda moment=moment: moment
            environ = entry["environ"] | {
                "wsgi.input": io.BytesIO(base64.b64decode(entry["body"])),
                "wsgi.errors": sys.stderr,
                "wsgi.url_scheme": "http",
            }
            client.run_wsgi_app(environ, buffered=True)
        moto.s3.models.utcnow = now


class Quiet(WSGIRequestHandler):
    """Writes nothing to the terminal."""

    def log(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    run_simple(
        "127.0.0.1", int(sys.argv[1]), KeptServer(Path(sys.argv[2])), threaded=True, request_handler=Quiet
    )
