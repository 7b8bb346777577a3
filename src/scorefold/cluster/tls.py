"""The files by which the two ends of a connection know each other, checked before anything is connected."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scorefold.errors import InputError

OPTIONS = "--tls-ca, --tls-cert and --tls-key"


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for TLS in both directions: each end shows a certificate that the same authority has signed.

    Parameters
    ----------
    ca : Path
        Certificate of the authority.
    cert : Path
        Our certificate.
    key : Path or None
        Its private key, without a passphrase; None if it is in the certificate's file.

    Raises
    ------
    InputError
        If a file cannot be read or is of another kind, or the key is not that of the certificate.
    """

    ca: Path
    cert: Path
    key: Path | None = None

    def __post_init__(self) -> None:
        for option, path in (("--tls-ca", self.ca), ("--tls-cert", self.cert), ("--tls-key", self.key)):
            if path is not None:
                _check_readable(option, path)
        self._check_ca()
        self._check_pair()

    @classmethod
    def given(cls, ca: str | None, cert: str | None, key: str | None) -> Self:
        """Return the files that options name.

        Raises
        ------
        InputError
            If one of the options is missing, or a file cannot be used.
        """
        if ca is None or cert is None:
            missing = "--tls-ca" if ca is None else "--tls-cert"
            raise InputError(f"{missing}: missing. TLS takes {OPTIONS} together.")
        # Workers may have another working directory.
        return cls(Path(ca).absolute(), Path(cert).absolute(), None if key is None else Path(key).absolute())

    def check_agreement(self) -> None:
        """Refuse files with which the two ends of a connection would refuse each other, as where both are ours.

        Raises
        ------
        InputError
            If the certificate is not one that the authority has signed, or has expired.
        """
        contexts = []
        for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
            context = ssl.SSLContext(protocol)
            context.check_hostname, context.verify_mode = False, ssl.CERT_REQUIRED  # as Dask does
            context.load_verify_locations(self.ca)
            context.load_cert_chain(self.cert, self.key)
            contexts.append(context)
        problem = _handshake_problem(*contexts)
        if problem is not None:
            raise InputError(
                f'--tls-cert "{self.cert}": not accepted by --tls-ca "{self.ca}" ({problem}). '
                "Give a certificate that it has signed."
            )

    def _check_ca(self) -> None:
        try:
            ssl.create_default_context(cafile=self.ca)
        except ssl.SSLError:
            raise InputError(
                f'--tls-ca "{self.ca}": no certificate in PEM format. Give that of the authority that signed the '
                "cluster's certificates."
            ) from None

    def _check_pair(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            # OpenSSL would ask for a passphrase on the terminal, and so would every worker.
            context.load_cert_chain(self.cert, self.key, password=_no_passphrase)
        except _PassphraseError:
            raise InputError(
                f'--tls-key "{self.key or self.cert}": it has a passphrase, which nobody is there to type on a '
                "worker. Give a key without one."
            ) from None
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                problem = (
                    f'--tls-key "{self.key or self.cert}": not the key of "{self.cert}". Give its own key.'
                )
            elif not _has(self.cert, b"CERTIFICATE"):
                problem = f'--tls-cert "{self.cert}": no certificate in PEM format. Give one that --tls-ca has signed.'
            elif not _has(self.key or self.cert, b"PRIVATE KEY"):
                problem = f'--tls-key "{self.key or self.cert}": no private key in PEM format. Give that of --tls-cert.'
            else:
                reason = (error.reason or "damaged").replace("_", " ").lower()
                problem = (
                    f'--tls-cert "{self.cert}": it or its key cannot be used ({reason}). Give PEM files.'
                )
            raise InputError(problem) from None


class _PassphraseError(Exception):
    """A key that is encrypted."""


def _no_passphrase() -> str:
    raise _PassphraseError


def _check_readable(option: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(
            f'{option} "{path}": {error.strerror or error}. Check the path and its permissions.'
        ) from None


def _has(path: Path, kind: bytes) -> bool:
    return any(line.startswith(b"-----BEGIN ") and kind in line for line in path.read_bytes().splitlines())


def _handshake_problem(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """Return why two ends would refuse each other, or None; they meet in memory."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    try:
        for _ in range(4):  # flights of messages of a handshake
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError as error:
        return (error.reason or str(error)).replace("_", " ").lower()
    return None
