"""Fetching the bytes behind an address: what may pass is tried again, what is final is said at once."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from dataide.errors import DataideError, MediaError

LARGEST_DOWNLOAD_BYTES = 256 << 20
ATTEMPTS = 4
TIMEOUT_S = 20.0
# Before the second, third and fourth attempt; each wait is lengthened at random, so that many readers do not come back
# to a busy server at once.
WAITS_S = (0.2, 0.5, 1.2)
LONGEST_ASKED_WAIT_S = 5.0
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_PACE = re.compile(r"\b(?:SlowDown|Throttling|RequestTimeout|ServiceUnavailable|InternalError|50[0234]|429)\b")

Answer = TypeVar("Answer")


class Busy(ConnectionError):
    """The server is there and does not manage this one now.

    Attributes:
        after_s: how long it asks to be left alone, or None.
    """

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class GaveUp(TimeoutError):
    """Waited as long as was allowed; waiting again would take as long again."""


def is_url(ref: str) -> bool:
    """Whether a reference is an address such as `https://…` or `s3://…`."""
    return _SCHEME.match(ref) is not None


def address_prefix(url: str) -> str:
    """What an import of this address grants: its scheme and its server or bucket."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/" if parts.netloc and url.count("/") > 2 else url


def read_url(url: str) -> bytes:
    """Fetches an address, trying again when the network fails or the server is busy.

    Raises:
        MediaError: with code missing, refused, busy, unreachable or too_large.
    """
    return trying(url, lambda: _fetch(url))


def trying(what: str, attempt: Callable[[], Answer]) -> Answer:
    """Makes several attempts at one thing at an address.

    Raises:
        MediaError: with code missing (there is nothing), refused (it is not for us), busy (the server is there and
            does not manage) or unreachable.
    """
    shown = what[:200]
    for number in range(ATTEMPTS):
        try:
            return attempt()
        except DataideError:
            raise
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise MediaError(f"There is nothing at {shown}.", code="missing") from None
        except PermissionError as error:
            raise MediaError(
                f"{shown} may not be read: {said(error)}",
                hint="Look whether the credentials are there and fit.",
                code="refused",
            ) from None
        except ImportError as error:
            raise MediaError(
                f"{shown} needs a package that is not installed: {error}",
                hint=f"pip install {error.name or 'fsspec'}",
                code="unreachable",
            ) from None
        except Exception as error:
            if number == ATTEMPTS - 1 or not _may_pass(error):
                raise MediaError(
                    f"{shown} cannot be reached: {said(error)}",
                    hint="Look whether this machine reaches it; it is tried again when it is looked at again.",
                    code="busy" if isinstance(error, Busy) else "unreachable",
                ) from None
            # Between attempts a server gets time to recover, as much as it asks for; this thread waits for it anyhow.
            asked = error.after_s if isinstance(error, Busy) else None
            time.sleep(WAITS_S[number] * random.uniform(1, 1.5) if asked is None else min(asked, LONGEST_ASKED_WAIT_S))
    raise AssertionError("unreachable")


def said(error: BaseException) -> str:
    """An error of somebody else's in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may help: the network, or a server that is busy; a wrong name or password stays wrong."""
    if isinstance(error, GaveUp):
        return False
    if isinstance(error, (OSError, TimeoutError, EOFError)):
        return True
    # botocore, gcsfs and the others have trees of their own; their names and texts say enough.
    names = {kind.__name__ for kind in type(error).__mro__}
    if any(re.search(r"Timeout|Connect|Disconnect|Incomplete|Payload|Throttl", name) for name in names):
        return True
    return _PACE.search(str(error)) is not None


def _fetch(url: str) -> bytes:
    if url[:7].lower() == "http://" or url[:8].lower() == "https://":
        return _fetch_http(url)
    import fsspec

    if "::" in url:
        raise MediaError(f"{url[:200]} chains addresses, which is not supported.", code="unreachable")
    with fsspec.open(url, "rb") as file:
        data: bytes = file.read(LARGEST_DOWNLOAD_BYTES + 1)
    return _bounded(url, data)


def _fetch_http(url: str) -> bytes:
    # The standard library's client: fsspec's own would bring a whole asynchronous stack for a plain GET.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(
            Request(url, headers={"User-Agent": "dataide", "Accept": "image/*,*/*;q=0.5"}), timeout=TIMEOUT_S
        ) as answer:
            data = _whole(answer)
    except HTTPError as error:
        error.close()
        if error.code in _PASSING_STATUS:
            raise Busy(f"it answers {error.code} {error.reason}", _seconds(error.headers.get("Retry-After"))) from None
        code = "missing" if error.code in (404, 410) else "refused"
        raise MediaError(f"{url[:200]} answers {error.code} {error.reason}.", code=code) from None
    except HTTPException as error:
        raise ConnectionError(str(error) or type(error).__name__) from None
    return _bounded(url, data)


def _whole(answer: object) -> bytes:
    """The body. A server that drips a byte now and then never times out by itself, so the whole has a limit too."""
    read, headers = answer.read1, answer.headers  # type: ignore[attr-defined]
    parts: list[bytes] = []
    size, deadline = 0, time.monotonic() + 3 * TIMEOUT_S
    while size <= LARGEST_DOWNLOAD_BYTES and (part := read(1 << 20)):
        parts.append(part)
        size += len(part)
        if time.monotonic() > deadline:
            raise TimeoutError(f"it is too slow: {size:,} bytes in {3 * TIMEOUT_S:.0f} s")
    promised = headers.get("Content-Length", "")
    # With a limit, Python's client takes a connection that breaks off for the end of the body.
    if promised.isdigit() and size < int(promised) and size <= LARGEST_DOWNLOAD_BYTES:
        raise Busy(f"it broke off after {size:,} of {int(promised):,} bytes")
    return b"".join(parts)


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None


def _bounded(url: str, data: bytes) -> bytes:
    if len(data) > LARGEST_DOWNLOAD_BYTES:
        raise MediaError(f"{url[:200]} has more than {LARGEST_DOWNLOAD_BYTES:,} bytes.", code="too_large")
    return data
