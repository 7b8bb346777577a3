"""TLS from the command line: a whole run on a cluster that lets in only who has a certificate, and who is refused."""

from pathlib import Path

import pytest

import scorefold as package

pytestmark = pytest.mark.timeout(150)

MATCH = ("match", "good.png", "-t", "part.png", "--step", "90", "--threshold", "0.9", "--no-render")


@pytest.fixture(scope="module")
def scheduler(start_scheduler, certificates):
    """The address of a scheduler with TLS and a worker."""
    ours = ["--tls-ca-file" if option == "--tls-ca" else option for option in certificates("ours")]
    return start_scheduler("--protocol", "tls", *ours, workers=1)


@pytest.mark.system
def test_a_run_on_a_tls_cluster_from_its_start_to_its_pictures(folder, scorefold, scheduler, certificates):
    there = ("--scheduler", scheduler, *certificates("ours"))
    ended = scorefold(*MATCH, "-o", "run", *there)
    assert (ended.code, ended.err) == (0, "")
    assert "1 pick in 1 target" in ended.out
    for command in (("resume", "run"), ("render", "run", "--top", "1")):
        ended = scorefold(*command, *there)
        assert (ended.code, ended.err) == (0, "")
    assert Path("run/report.html").exists()
    here = scorefold(*MATCH, "-o", "serial", "--scheduler", "serial")
    assert here.code == 0
    assert package.open_run("run").picks.equals(package.open_run("serial").picks)


@pytest.mark.system
def test_an_inspection_on_a_tls_cluster(lot, scorefold, scheduler, certificates):
    there = ("--scheduler", scheduler, *certificates("ours"), "--no-render")
    for command in (
        ("inspect", "train", "good", "-o", "new"),
        ("inspect", "run", "lot", "--model", "new", "-o", "found"),
        ("evaluate", "found", "--masks", "masks"),
    ):
        ended = scorefold(*command, *there)
        assert (ended.code, ended.err) == (0, "")
    assert package.open_run("found").images["verdict"].tolist() == ["OK", "NG", "OK", "NG"]


def test_the_address_may_come_from_the_environment(folder, scorefold, scheduler, certificates, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", scheduler)
    ended = scorefold("plan", *MATCH[1:-1], *certificates("ours"))
    assert (ended.code, ended.err) == (0, "")


def test_a_plain_client_is_refused_in_one_line(folder, scorefold, scheduler, contents, check_refused):
    before = contents(folder)
    plain = scheduler.replace("tls://", "tcp://")
    ended = scorefold(*MATCH, "-o", "run", "--scheduler", plain)
    check_refused(ended, (f'scheduler "{plain}"', "it wants TLS", "--tls-ca, --tls-cert and --tls-key"))
    ended = scorefold(*MATCH, "-o", "run", "--scheduler", scheduler)
    check_refused(ended, (f'scheduler "{scheduler}"', "--tls-ca, --tls-cert and --tls-key"))
    assert contents(folder) == before


@pytest.mark.system
def test_a_plain_client_in_a_process_of_its_own_ends_soon_and_in_one_line(
    folder, scorefold_process, scheduler, check_refused
):
    """Nothing that Dask leaves behind holds the process up or speaks up at its end."""
    plain = scheduler.replace("tls://", "tcp://")
    check_refused(scorefold_process(*MATCH, "-o", "run", "--scheduler", plain), ("it wants TLS",))


def test_who_has_other_certificates_is_refused_in_one_line(
    folder, scorefold, scheduler, certificates, check_refused
):
    ours, theirs = certificates("ours"), certificates("theirs")
    ended = scorefold(*MATCH, "-o", "run", "--scheduler", scheduler, *theirs[:2], *ours[2:])
    check_refused(ended, ("its certificate is not accepted", "--tls-ca"))
    ended = scorefold(*MATCH, "-o", "run", "--scheduler", scheduler, *ours[:2], *theirs[2:])
    check_refused(ended, ("it does not accept our certificate", "--tls-cert"))


@pytest.mark.parametrize(
    "command",
    [
        (*MATCH, "-o", "new"),
        ("plan", *MATCH[1:-1]),
        ("demo", "match", "--out", "new"),
        ("demo", "inspect", "--out", "new"),
        ("resume", "run"),
        ("render", "run", "--top", "1"),
        ("inspect", "train", "good.png", "-o", "new"),
        ("inspect", "run", "good.png", "--model", "run", "-o", "new"),
        ("inspect", "maps", "good.png", "-o", "new"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_every_command_that_works_somewhere_takes_the_files_and_checks_them_first(
    finished_run, scorefold, certificates, contents, check_refused, command
):
    before = contents(finished_run.parent)
    ours, theirs = certificates("ours"), certificates("theirs")
    mismatched = (*ours[:4], *theirs[4:])
    check_refused(scorefold(*command, *mismatched), (f'--tls-key "{theirs[5]}"', "Give its own key"))
    check_refused(scorefold(*command, *ours[:2]), ("--tls-cert: missing",))
    for elsewhere in ("serial", "tcp://127.0.0.1:1"):
        ended = scorefold(*command, *ours, "--scheduler", elsewhere)
        check_refused(ended, (f'scheduler "{elsewhere}"', "tls:// address"))
    assert contents(finished_run.parent) == before


def test_files_that_do_not_fit_each_other_are_found_out_before_there_is_a_run(
    folder, scorefold, certificates, contents, check_refused
):
    before = contents(folder)
    ended = scorefold(*MATCH, "-o", "run", *certificates("ours")[:2], *certificates("theirs")[2:])
    check_refused(ended, ("--tls-cert", "not accepted by --tls-ca", "Give a certificate that it has signed"))
    assert contents(folder) == before


@pytest.mark.system
def test_the_embedded_cluster_uses_the_files_that_are_given(folder, scorefold, certificates, monkeypatch):
    from distributed import Client

    addresses = []
    start = Client.__init__

    def noted(self, *arguments, **options):
        start(self, *arguments, **options)
        addresses.append(self.scheduler.address)

    monkeypatch.setattr(Client, "__init__", noted)
    ended = scorefold(*MATCH, "-o", "run", "--workers", "1", *certificates("ours"))
    assert (ended.code, ended.err) == (0, "")
    assert [address.split(":")[:2] for address in addresses] == [["tls", "//127.0.0.1"]]
