"""Who may come in: what we start listens on this machine alone, and TLS lets in only who has a certificate."""

import ipaddress
import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import psutil
import pytest
from distributed import Client

from scorefold.cluster import TlsFiles, drive, executor, local, remote
from scorefold.errors import InputError, ScorefoldWarning

pytestmark = pytest.mark.timeout(120)

OURS, THEIRS = "ours", "theirs"


@pytest.fixture(scope="module")
def tls(certificates):
    """Make the files of an authority, or of one and the certificate of another: ``tls(ca, cert=ca)``."""

    def make(ca, cert=None):
        files = dict(zip(certificates(cert or ca)[::2], certificates(cert or ca)[1::2], strict=True))
        return TlsFiles.given(certificates(ca)[1], files["--tls-cert"], files["--tls-key"])

    return make


def dask_options(options):
    """Return our options as Dask's tools call them."""
    return ["--tls-ca-file" if option == "--tls-ca" else option for option in options]


@pytest.fixture(scope="module")
def tls_scheduler(start_scheduler, certificates):
    return start_scheduler("--protocol", "tls", *dask_options(certificates(OURS)))


@pytest.fixture(scope="module")
def plain_scheduler(start_scheduler):
    return start_scheduler()


def listening(process):
    """Return where a process and those that it has started listen for TCP and UDP."""
    found = []
    for each in (process, *process.children(recursive=True)):
        found += [
            connection.laddr
            for connection in each.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
        ]
    return found


@pytest.mark.system
@pytest.mark.parametrize("authority", [None, OURS])
def test_everything_that_an_embedded_cluster_starts_listens_on_this_machine_alone(tls, authority):
    files = None if authority is None else tls(authority)
    before = set(listening(psutil.Process()))
    with executor(workers=2, tls=files) as (_, dashboard):
        places = set(listening(psutil.Process())) - before
    # The scheduler, its dashboard, two nannies, and two workers with a port for tasks and one for their state.
    assert len(places) >= 6
    assert {place for place in places if not ipaddress.ip_address(place.ip).is_loopback} == set()
    assert dashboard.startswith("http://127.0.0.1:")


@pytest.mark.long
@pytest.mark.chaos
def test_a_default_run_of_the_command_listens_on_this_machine_alone(tmp_path):
    program = tmp_path / "scan.py"
    program.write_text(
        "import psutil, scorefold.cluster, sys\n"
        "from scorefold.cli import main\n"
        "def scan(*_, **__):\n"
        "    me = psutil.Process()\n"
        "    for each in (me, *me.children(recursive=True)):\n"
        "        for c in each.net_connections(kind='inet'):\n"
        "            if c.status == psutil.CONN_LISTEN: print('listens', c.laddr.ip)\n"
        "    sys.exit(0)\n"
        "if __name__ == '__main__':\n"
        "    scorefold.cluster.drive = scan\n"
        "    main()\n"
    )
    command = [sys.executable, str(program), "demo", "match", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    hosts = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("listens")]
    assert len(hosts) >= 4, done.stderr
    assert all(ipaddress.ip_address(host).is_loopback for host in hosts)


def test_who_shows_the_right_certificate_comes_in(tls_scheduler, tls):
    with local.connected(tls_scheduler, tls=tls(OURS)) as client:
        assert client.status == "running"


def test_who_comes_without_tls_is_refused(tls_scheduler):
    with pytest.raises(InputError, match=r"it wants TLS\. Give its tls:// address, --tls-ca, --tls-cert and"):
        enter(tls_scheduler.replace("tls://", "tcp://"))
    with pytest.raises(InputError, match="it wants TLS"):
        enter(tls_scheduler.removeprefix("tls://"))


def test_who_comes_without_a_certificate_is_told_what_to_give(tls_scheduler):
    with pytest.raises(InputError, match=r"TLS needs certificates\. Give --tls-ca, --tls-cert and --tls-key"):
        enter(tls_scheduler)


def test_a_scheduler_that_another_authority_has_signed_is_not_trusted(tls_scheduler, tls):
    with pytest.raises(InputError, match=r"its certificate is not accepted .* as --tls-ca"):
        enter(tls_scheduler, tls(THEIRS, cert=OURS))


def test_who_shows_a_certificate_of_another_authority_is_refused(tls_scheduler, tls):
    with pytest.raises(InputError, match=r"it does not accept our certificate .* as --tls-cert"):
        enter(tls_scheduler, tls(OURS, cert=THEIRS))


def test_a_scheduler_without_tls_is_not_talked_to_with_it(plain_scheduler, tls):
    with pytest.raises(InputError, match=r"it does not speak TLS\. Give its tcp:// address"):
        enter(plain_scheduler.replace("tcp://", "tls://"), tls(OURS))


def test_what_is_no_scheduler_is_given_up_on(tls):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        for address, files in ((f"tcp://{place}", None), (f"tls://{place}", tls(OURS))):
            with pytest.raises(InputError, match="no Dask scheduler answers there"):
                enter(address, files, timeout=0.3)


def enter(address, tls=None, timeout=10.0):
    with local.connected(address, timeout, tls):
        pytest.fail("it came in")


def test_tls_that_dask_is_configured_with_is_used(tls_scheduler, tls):
    import dask

    files = tls(OURS)
    ends = {"ca-file": files.ca, "client.cert": files.cert, "client.key": files.key}
    with (
        dask.config.set({f"distributed.comm.tls.{name}": str(path) for name, path in ends.items()}),
        local.connected(tls_scheduler) as client,
    ):
        assert client.status == "running"
    missing = dask.config.set({f"distributed.comm.tls.{name}": "nowhere.pem" for name in ends})
    with missing, pytest.raises(InputError, match=r"Dask is configured with TLS files that cannot be used"):
        enter(tls_scheduler)


@pytest.mark.system
def test_an_embedded_cluster_with_tls_refuses_others_and_computes_the_same(
    tls, new_run, serial_output, output_of
):
    run = new_run()
    with executor(workers=1, tls=tls(OURS)) as (working, _):
        address = working.client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        with pytest.raises(InputError, match="it wants TLS"):
            enter(address.replace("tls://", "tcp://"))
        with pytest.raises(InputError, match="does not accept our certificate"):
            enter(address, tls(OURS, cert=THEIRS))
        drive(run, working, render=False)
    assert output_of(run.store.location) == serial_output()


def test_files_with_which_scheduler_and_workers_would_refuse_each_other_are_found_out_before(tls):
    with (
        pytest.raises(InputError, match=r"--tls-cert .*: not accepted by --tls-ca "),
        executor(workers=1, tls=tls(OURS, cert=THEIRS)),
    ):
        pytest.fail("it started")


def test_the_key_may_be_in_the_certificates_file(tls, tmp_path, tls_scheduler):
    files = tls(OURS)
    both = tmp_path / "both.pem"
    both.write_bytes(files.cert.read_bytes() + files.key.read_bytes())
    with local.connected(tls_scheduler, tls=TlsFiles.given(str(files.ca), str(both), None)) as client:
        assert client.status == "running"


def test_relative_paths_are_the_same_for_workers_elsewhere(tls, tmp_path, monkeypatch):
    for path in (tls(OURS).ca, tls(OURS).cert, tls(OURS).key):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    found = TlsFiles.given("ca.pem", "cert.pem", "key.pem")
    assert (found.ca, found.cert, found.key) == tuple(tmp_path / f"{n}.pem" for n in ("ca", "cert", "key"))


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("127.0.0.1:8786", True),
        ("tcp://localhost:8786", True),
        ("tcp://[::1]:8786", True),
        ("tls://10.0.0.5:8786", True),
        ("inproc://10.0.0.5/1/2", True),
        ("tcp://10.0.0.5:8786", False),
        ("10.0.0.5:8786", False),
        ("ws://10.0.0.5:8786", False),
        ("tcp://0.0.0.0:8786", False),
        ("tcp://no-such-host.invalid:8786", False),
    ],
)
def test_an_address_that_others_reach_without_tls_is_warned_about(monkeypatch, address, private):
    class Comm:
        def abort(self):
            pass

    async def connect(*_, **__):
        return Comm()

    monkeypatch.setattr(remote, "connect", connect)
    monkeypatch.setattr(
        remote.Security, "get_connection_args", lambda *_: {"ssl_context": object()}, raising=True
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        remote.check_scheduler(address, 1.0, None)
    said = [str(warning.message) for warning in caught if warning.category is ScorefoldWarning]
    assert len(said) == (0 if private else 1)
    if said:
        assert "\n" not in said[0]
        assert said[0].startswith(f'scheduler "{address}": whoever reaches it can run anything on it')


def test_a_client_that_was_made_elsewhere_is_not_looked_at_twice(tls_scheduler, tls):
    """Who passes a client has decided about its security."""
    files = tls(OURS)
    with (
        Client(tls_scheduler, security=local._security(files), set_as_default=False) as client,
        executor(client=client) as (working, _),
    ):
        assert working.client is client


def test_what_is_said_of_files_names_the_option_and_the_file(tls, tmp_path):
    ours, theirs = tls(OURS), tls(THEIRS)
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    cases = [
        ((None, ours.cert, ours.key), "--tls-ca: missing"),
        ((ours.ca, None, ours.key), "--tls-cert: missing"),
        ((ours.ca, ours.cert, None), f'--tls-key "{ours.cert}": no private key'),
        ((ours.ca, ours.cert, theirs.key), f'--tls-key "{theirs.key}": not the key of "{ours.cert}"'),
        ((ours.key, ours.cert, ours.key), f'--tls-ca "{ours.key}": no certificate'),
        ((ours.ca, ours.key, ours.key), f'--tls-cert "{ours.key}": no certificate'),
        ((ours.ca, ours.cert, ours.ca), f'--tls-key "{ours.ca}": no private key'),
        ((tmp_path / "absent", ours.cert, ours.key), f'--tls-ca "{tmp_path / "absent"}": No such file'),
        ((ours.ca, tmp_path, ours.key), f'--tls-cert "{tmp_path}": Is a directory'),
        ((nonsense, ours.cert, ours.key), f'--tls-ca "{nonsense}": no certificate'),
        ((ours.ca, nonsense, ours.key), f'--tls-cert "{nonsense}": it or its key cannot be used'),
    ]
    for given, says in cases:
        with pytest.raises(InputError) as caught:
            TlsFiles.given(*(None if path is None else str(path) for path in given))
        assert str(caught.value).startswith(says), str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tls, tmp_path):
    from cryptography.hazmat.primitives import serialization

    ours = tls(OURS)
    key = serialization.load_pem_private_key(ours.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(InputError, match=r"it has a passphrase.* Give a key without one"):
        TlsFiles(ours.ca, ours.cert, Path(locked))


def test_a_certificate_that_has_expired_is_found_out_before_anything_starts(tmp_path):
    from datetime import UTC, datetime, timedelta

    import trustme

    signer = trustme.CA()
    day, now = timedelta(days=1), datetime.now(UTC)
    expired = signer.issue_cert("127.0.0.1", not_before=now - 3 * day, not_after=now - day)
    signer.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    expired.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    files = TlsFiles(tmp_path / "ca.pem", tmp_path / "both.pem")
    with pytest.raises(InputError, match=r"not accepted .*expired"):
        files.check_agreement()
