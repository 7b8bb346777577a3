"""A scheduler that somebody else runs: whether it answers, why it does not, and who else may reach it."""

# mypy: allow-untyped-calls

import asyncio
import ipaddress
import json
import re
import socket
import ssl
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from distributed import Security
from distributed.comm.core import connect

from scorefold.cluster.run import one_line
from scorefold.cluster.tls import OPTIONS
from scorefold.errors import InputError, ScorefoldWarning

ENCRYPTED = ("tls", "wss", "inproc")
"""Schemes of addresses that nobody else can listen to, or write to."""

PROBE_SECONDS = 2.0
"""How long a scheduler that has refused a connection may take to show that it speaks TLS."""


def address_in(path: str) -> str:
    """Return the address that a scheduler wrote into a file (``dask scheduler --scheduler-file``).

    Raises
    ------
    InputError
        If the file cannot be read, or no scheduler wrote it.
    """
    try:
        told = json.loads(Path(path).read_bytes())
        address = told["address"]
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise InputError(
            f'scheduler file "{path}": {reason}. Has the scheduler started, and written it?'
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        address = None
    if not isinstance(address, str):
        raise InputError(
            f'scheduler file "{path}": it names no address. Give what dask scheduler --scheduler-file writes.'
        )
    return address


def check_scheduler(address: str, timeout: float, security: Security | None) -> None:
    """Make sure that a scheduler answers and accepts us, before there is a client that keeps trying.

    Parameters
    ----------
    address : str
        Such as ``tcp://host:8786``.
    timeout : float
        Seconds to wait for it.
    security : distributed.Security, optional
        Default: as Dask is configured.

    Raises
    ------
    InputError
        If it does not.
    """
    try:
        arguments = (security or Security()).get_connection_args("client")
    except (OSError, ValueError) as error:
        raise InputError(
            f'scheduler "{address}": Dask is configured with TLS files that cannot be used ({one_line(error)}). '
            f"Give {OPTIONS}."
        ) from None
    if address.startswith("tls://") and arguments["ssl_context"] is None:
        raise InputError(f'scheduler "{address}": TLS needs certificates. Give {OPTIONS}.')

    async def say_hello() -> None:
        # The time-out of connecting is for its beginning; what answers there need not be a scheduler.
        comm = await asyncio.wait_for(connect(address, timeout=timeout, **arguments), timeout + 1)
        comm.abort()

    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has an event loop in this one
            thread.submit(asyncio.run, say_hello()).result()
    except Exception as error:  # noqa: BLE001 - what somebody else's service sends may be anything
        raise no_scheduler(address, error) from None
    if not _is_private(address):
        warnings.warn(
            f'scheduler "{address}": whoever reaches it can run anything on it, and read what is sent. Give a tls:// '
            "address, or keep its network to yourself.",
            ScorefoldWarning,
            stacklevel=2,
        )


def no_scheduler(address: str, error: BaseException) -> InputError:
    """Return what to tell of a connection that failed.

    What Dask raises depends on which end is faster, so that the other end is asked once more what it speaks.
    """
    cause = error.__cause__
    text = one_line(error) if str(error) else one_line(cause or error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        problem = f"its certificate is not accepted ({cause.verify_message})"
        remedy = "Give the certificate of the authority that signed it as --tls-ca."
        return InputError(f'scheduler "{address}": {problem}. {remedy}')
    wanted, spoken = _place(address).scheme == "tls", _speaks_tls(address)
    if wanted and spoken:
        alert = re.search(r"\[SSL: (\w+)\]", text)
        reason = alert[1].replace("_", " ").lower() if alert else "it ends the connection"
        problem = f"it does not accept our certificate ({reason})"
        remedy = "Give one that its authority has signed as --tls-cert."
    elif spoken:
        problem, remedy = "it wants TLS", f"Give its tls:// address, {OPTIONS}."
    elif wanted and spoken is False:
        problem, remedy = "it does not speak TLS", "Give its tcp:// address, or start it with TLS."
    else:
        problem = f"no Dask scheduler answers there ({text})"
        remedy = "Check the address, or leave --scheduler out to use this machine."
    return InputError(f'scheduler "{address}": {problem}. {remedy}')


def _speaks_tls(address: str) -> bool | None:
    """Tell whether who listens at an address answers in TLS to the beginning of TLS; None if nothing comes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only to see whether there is one
    try:
        place = _place(address)
        with (
            socket.create_connection((place.hostname or "", place.port or 0), PROBE_SECONDS) as plain,
            context.wrap_socket(plain),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, ValueError):
        return None


def _is_private(address: str) -> bool:
    """Tell whether only this machine, or only who has a certificate, can reach an address."""
    place = _place(address)
    if place.scheme in ENCRYPTED:
        return True
    try:
        found = socket.getaddrinfo(place.hostname or "", None)
        return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)
    except (OSError, ValueError):
        return False


def _place(address: str) -> SplitResult:
    """Return the parts of an address, of which Dask lets the scheme be left out."""
    return urlsplit(address if "://" in address else f"tcp://{address}")
