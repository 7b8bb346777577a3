"""Credentials of object stores: they come from the environment, and do not get into runs and messages."""

import os
import re

from scorefold.errors import InputError

_NAMES = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|SAS|CREDENTIAL|SIGNATURE")
_STORES = ("AWS_", "AZURE_", "GOOGLE_", "GCP_", "GCS_")
_PAIR = re.compile(r"(?i)\b((?:[\w-]*(?:signature|credential|token|secret)|sig)=)[^\s&,;<>\"']+")
_SHORTEST = 6
"""Values of variables that are shorter are no secrets, and may be part of words."""


def without_credentials(text: str) -> str:
    """Return a message without the credentials of the environment, and without signatures.

    A server may repeat in the reason of a refusal what it was sent.

    Parameters
    ----------
    text : str
        Any message.

    Examples
    --------
    >>> without_credentials("GET /bucket?X-Amz-Signature=0a1b2c refused")
    'GET /bucket?X-Amz-Signature=… refused'
    """
    if "Debug source:" in text:  # all once more, as obstore's programmers see it
        text = text[: text.index("Debug source:")].rstrip()
    for name, value in os.environ.items():
        if name.startswith(_STORES) and _NAMES.search(name) and len(value) >= _SHORTEST:
            text = text.replace(value, "…")
    return _PAIR.sub(r"\1…", text)


def check_url(text: str) -> None:
    """Refuse a URL that holds credentials or a signature; paths of files pass.

    Parameters
    ----------
    text : str
        A path or URL, alone or behind the name of an option.

    Raises
    ------
    InputError
        If it does; the message does not repeat them.

    Examples
    --------
    >>> check_url("s3://bucket/run@2.zarr")
    >>> check_url("abfss://container@account.dfs.core.windows.net/run")
    >>> check_url("s3://key:secret@bucket/run")
    Traceback (most recent call last):
    scorefold.errors.InputError: URL "s3://…": it holds credentials or a query, and runs keep their URLs. Leave them
    out; credentials come from the environment, such as AWS_ACCESS_KEY_ID.
    """
    found = re.search(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", text, re.DOTALL)
    if found is None or found[1].lower() == "file":
        return
    authority = re.split(r"[/?#]", found[2], maxsplit=1)[0]
    # A secret may hold a slash, which ends what is taken for the host and its port.
    port = re.search(r":([^\]]*)$", authority)
    cut = port is not None and not port[1].isdigit() and "@" in found[2]
    container = found[1].lower() in ("abfs", "abfss") and re.fullmatch(r"[a-z0-9-]+@[^@]*", authority)
    if ("@" in authority and not container) or cut or "?" in found[2] or "#" in found[2]:
        raise InputError(
            f'URL "{found[1]}://…": it holds credentials or a query, and runs keep their URLs. Leave them out; '
            "credentials come from the environment, such as AWS_ACCESS_KEY_ID."
        )
