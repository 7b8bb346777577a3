"""Credentials of object stores come from the environment and stay there: not in runs, tables, reports, messages."""

import http.server
import threading
from pathlib import Path

import pytest

import scorefold as package
from scorefold.credentials import check_url, without_credentials
from scorefold.errors import InputError

pytestmark = pytest.mark.timeout(120)

KEY, SECRET, TOKEN = "AKIATESTKEYOFOURS", "w7Se/cretOf+0urs", "FwoTestTokenOfOurs"

SERIAL = ("--scheduler", "serial")

WITH_CREDENTIALS = [
    f"s3://{KEY}:{SECRET}@bucket/run",
    f"s3://{KEY}:{SECRET.replace('/', '')}@bucket/run",
    f"S3://{TOKEN}@bucket/run.zarr",
    f"https://host/run.zarr?X-Amz-Signature={TOKEN}&X-Amz-Credential={KEY}",
    f"https://host/run.zarr#{TOKEN}",
    f"az://container/run?sig={TOKEN}",
    f"https://user:{TOKEN}@[::1]:9000/run",
]


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return monkeypatch


def check_free(text: str) -> None:
    for secret in (KEY, SECRET, SECRET.replace("/", ""), TOKEN):
        assert secret not in text


@pytest.mark.parametrize("url", WITH_CREDENTIALS)
def test_a_url_with_credentials_is_refused_wherever_it_is_given(
    folder, scorefold, check_refused, contents, url
):
    before = contents(folder)
    for arguments in (
        ("status", url),
        ("resume", url),
        ("verify", url, "--json"),
        ("gc", url),
        ("render", url, "--top", "1"),
        ("evaluate", url, "--labels", "labels.csv"),
        ("match", "good.png", "-t", "part.png", "-o", url),
        ("match", "good.png", "-t", "part.png", f"--out={url}"),
        ("match", url, "-t", "part.png", "-o", "run"),
        ("match", "good.png", "-t", url, "-o", "run"),
        ("match", "good.png", "-t", "part.png", "--mask", url, "-o", "run"),
        ("plan", url, "-t", "part.png", "--json"),
        ("inspect", "train", url, "-o", "run"),
        ("inspect", "train", "good.png", "--add", url, "-o", "run"),
        ("inspect", "run", "good.png", "--model", url, "-o", "run"),
        ("inspect", "run", "good.png", "--model", "model", "--masks", url, "-o", "run"),
        ("inspect", "maps", "good.png", "--labels", url, "-o", "run"),
        ("no-such-command", url),
        ("match", "--no-such-option", url),
    ):
        ended = scorefold(*arguments)
        check_refused(ended, ("it holds credentials", "come from the environment"))
        check_free(ended.err)
    assert contents(folder) == before


@pytest.mark.parametrize("url", WITH_CREDENTIALS)
def test_python_refuses_it_as_well(folder, url):
    for use in (
        lambda: package.match("good.png", "part.png", out=url),
        lambda: package.match([url], "part.png", out="run"),
        lambda: package.match("good.png", url, out="run"),
        lambda: package.train([url], out="run"),
        lambda: package.inspect("good.png", url),
        lambda: package.open_run(url),
    ):
        with pytest.raises(InputError, match="it holds credentials") as caught:
            use()
        check_free(str(caught.value))
    assert not Path("run").exists()


@pytest.mark.parametrize(
    "place",
    [
        "s3://bucket/a@b/run.zarr",
        "s3://bucket",
        "gs://bucket/run",
        "https://host:9000/run.zarr",
        "http://[::1]:9000/run.zarr",
        "memory://",
        "file:///data/what?.png",
        "data/what?#@:.png",
        "tcp://127.0.0.1:x",
    ],
)
def test_other_places_pass(place):
    check_url(place)


@pytest.mark.system
def test_credentials_of_the_environment_get_into_no_file_and_no_message(folder, scorefold, environment):
    arguments = ("match", "good.png", "shifted.png", "-t", "part.png", "--step", "90", "--keep-states")
    outcomes = [
        scorefold(*arguments, "-o", "run", "--workers", "1"),
        scorefold("inspect", "train", "good.png", "shifted.png", "-o", "model", *SERIAL),
        scorefold("inspect", "run", "good.png", "--model", "model", "-o", "found", *SERIAL),
        scorefold("status", "run", "--json"),
        scorefold("verify", "run", "--json"),
        scorefold("render", "run", "--threshold", "2", *SERIAL),
    ]
    for ended in outcomes:
        assert ended.code == 0, ended.err
        check_free(ended.out + ended.err)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 50
    for path in files:
        data = path.read_bytes()
        assert not any(secret.encode() in data for secret in (KEY, SECRET, TOKEN)), path


class Refusing(http.server.BaseHTTPRequestHandler):
    """Refuses every request, and repeats what was sent, as some gateways do."""

    def do_GET(self) -> None:
        body = (
            f"<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>{KEY}</AWSAccessKeyId>"
            f"<StringToSign>X-Amz-Signature={TOKEN} {self.headers}</StringToSign></Error>"
        ).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing_store(environment):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        environment.setenv("AWS_ALLOW_HTTP", "true")
        yield server
        server.shutdown()


def test_what_a_store_says_when_it_refuses_is_told_without_what_was_sent(
    folder, scorefold, refusing_store, check_refused
):
    for arguments in (
        ("status", "s3://bucket/run"),
        ("plan", "s3://bucket/a.zarr", "-t", "part.png"),
        ("inspect", "run", "good.png", "--model", "s3://bucket/model", "-o", "run"),
    ):
        ended = scorefold(*arguments)
        check_refused(ended, ("bucket" if arguments[0] != "plan" else "a.zarr",))
        check_free(ended.err)
        assert "Debug source" not in ended.err
    ended = scorefold("match", "good.png", "-t", "part.png", "-o", "s3://bucket/run", *SERIAL)
    assert ended.code == 2
    assert ended.err.startswith('scorefold: output "s3://bucket/run": cannot be written')
    assert ended.err.count("\n") == 1
    check_free(ended.err)


def test_a_target_in_a_store_that_refuses_is_a_row_without_credentials(folder, scorefold, refusing_store):
    ended = scorefold("match", "s3://bucket/a.zarr", "good.png", "-t", "part.png", "-o", "run", *SERIAL)
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1
    check_free(ended.out + ended.err)
    for path in Path("run").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret.encode() in data for secret in (KEY, SECRET, TOKEN)), path


def test_signatures_are_left_out_of_messages_and_other_words_stay():
    assert without_credentials("GET /x?X-Amz-Signature=0a1b&X-Amz-Date=1: refused") == (
        "GET /x?X-Amz-Signature=…&X-Amz-Date=1: refused"
    )
    for text in ("step=3, threshold=auto", "unexpected token: x", 'target "a=b.png": no such file'):
        assert without_credentials(text) == text
