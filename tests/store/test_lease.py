"""One driver a run: a second one is refused while the first is there, and not a moment longer."""

import json
import platform
import subprocess
import sys
import time

import psutil
import pytest

from scorefold.errors import StoreError
from scorefold.store import RunStore, ask_to_stop, check_free, driver_of, last_stop, lease
from scorefold.store import driver_lease as hold
from scorefold.store.lease import CANCEL, EXPIRED_SECONDS, LEASE


@pytest.fixture
def store(tmp_path):
    return RunStore.create(str(tmp_path / "run"), {"fingerprint": "f" * 64})


def put(store, **changes):
    holder = {"host": "elsewhere", "process": 1, "started": 0.0, "token": "t", "renewed": time.time()}
    store.blobs.put(LEASE, json.dumps({**holder, **changes}).encode())


def test_it_is_held_meanwhile_and_given_back(store):
    with hold(store):
        assert json.loads(store.blobs.get(LEASE))["host"] == platform.node()
    assert store.blobs.get(LEASE) is None


def test_it_is_given_back_after_an_error(store):
    with pytest.raises(KeyError), hold(store):
        raise KeyError
    check_free(store)
    assert store.blobs.get(LEASE) is None


def test_another_machine_keeps_it_until_it_falls_silent(store):
    put(store)
    with pytest.raises(StoreError, match="process 1 on elsewhere is at work on it"), hold(store):
        pass
    put(store, renewed=time.time() - EXPIRED_SECONDS - 1)
    with hold(store):
        pass


def test_a_process_of_this_machine_keeps_it_while_it_lives(store):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        started = psutil.Process(other.pid).create_time()
        put(store, host=platform.node(), process=other.pid, started=started)
        with pytest.raises(StoreError, match=f"process {other.pid} on"):
            check_free(store)
        put(store, host=platform.node(), process=other.pid, started=started - 100)
        check_free(store)  # its number was that of another process before
        put(store, host=platform.node(), process=other.pid, started=started)
        other.kill()
    check_free(store)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"host": "x"}'])
def test_a_damaged_lease_keeps_nobody_out(store, data):
    store.blobs.put(LEASE, data)
    check_free(store)
    with hold(store):
        pass


def test_it_is_renewed(store, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    with hold(store):
        first = json.loads(store.blobs.get(LEASE))["renewed"]
        deadline = time.monotonic() + 20
        while json.loads(store.blobs.get(LEASE))["renewed"] == first:
            assert time.monotonic() < deadline


def test_it_is_not_taken_from_whoever_took_it_over(store):
    with hold(store):
        put(store, token="another")
    assert json.loads(store.blobs.get(LEASE))["token"] == "another"


def test_a_driver_is_asked_to_stop_through_the_store(store, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    assert not ask_to_stop(store)
    with hold(store) as held:
        assert ask_to_stop(store)
        assert held.cancelled.wait(30)
    assert store.blobs.get(CANCEL) is None


def test_a_wish_that_a_driver_left_behind_does_not_stop_the_next(store, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    put(store)
    assert ask_to_stop(store)
    store.blobs.delete(LEASE)
    with hold(store) as held:
        before = store.blobs.get(LEASE)
        wait_until(lambda: store.blobs.get(LEASE) != before)
        wait_until(lambda: store.blobs.get(LEASE) not in (None, before))
        assert not held.cancelled.is_set()


def test_what_a_driver_tells_is_seen(store, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    with hold(store) as held:
        held.told = {"left": 5}
        wait_until(lambda: driver_of(store).told == {"left": 5})
    assert driver_of(store) is None


def test_why_a_driver_stopped_is_kept_until_the_next_begins(store):
    assert last_stop(store) is None
    with pytest.raises(StoreError), hold(store):
        raise StoreError("the disk is full")
    assert last_stop(store).reason == "the disk is full"
    with pytest.raises(KeyboardInterrupt), hold(store):
        raise KeyboardInterrupt
    assert last_stop(store).reason == "interrupted"
    with hold(store):
        assert last_stop(store) is None
    assert last_stop(store) is None


def test_why_a_driver_stopped_holds_no_credentials(store, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    with pytest.raises(StoreError), hold(store):
        raise StoreError("refused: very-secret")
    assert last_stop(store).reason == "refused: …"


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_two_drivers_in_one_process_exclude_each_other(store):
    with hold(store):
        with pytest.raises(StoreError, match="is at work on it"), hold(store):
            pass
        assert driver_of(store) is not None
    with hold(store):
        pass


def test_a_driver_that_was_out_of_reach_notices_who_has_taken_over(store, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    with hold(store) as held:
        put(store, token="another")
        assert held.lost.wait(30)
        assert json.loads(store.blobs.get(LEASE))["token"] == "another"
    assert json.loads(store.blobs.get(LEASE))["token"] == "another"
