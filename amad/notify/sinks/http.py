"""Requests to a server, repeated with growing pauses while it is in trouble.

A server that asks for a pause longer than a job waits is asked no more by this job; see
``NotTakenError.pause``. An address may be a secret, so an error says the host and what happened,
and never the address.
"""

import math
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InvalidHeader, MaxRetryError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

from amad.config.wording import count
from amad.notify.sinks.errors import NotTakenError, RefusedError, causes, of_connection

ATTEMPTS = 4  # of one request in one job
PAUSE_SECONDS = 1.0  # before the second attempt is repeated; it doubles each time
LONGEST_PAUSE = 30  # seconds between two attempts of one job
IN_TROUBLE = (408, 425, 429, 500, 502, 503, 504)  # the same request may be taken later


def send(
    method: str,
    url: str,
    timeout: float,
    *,
    data: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> None:
    """Send one request until it is taken or ``ATTEMPTS`` are used up.

    Raises:
        RefusedError: the server answered that it does not take this request.
        NotTakenError: no answer, or one that says that the server is in trouble.
    """
    host = urlsplit(url).hostname or "the server"
    retry = _Attempts(
        total=ATTEMPTS - 1,
        backoff_factor=PAUSE_SECONDS,
        backoff_max=LONGEST_PAUSE,
        status_forcelist=IN_TROUBLE,
        allowed_methods=None,
        raise_on_status=False,
        redirect=False,
    )
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        try:
            with session.request(
                method,
                url,
                data=data,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                stream=True,  # the code says it all; the rest of an answer may never end
            ) as answer:
                status, pause = answer.status_code, retry.asked_pause(answer.headers)
        except requests.exceptions.RequestException as error:
            raise NotTakenError(f"{host} {_trouble(error, timeout)}") from None
    _check(host, status, pause)


def _check(host: str, status: int, pause: float) -> None:
    """Raise what an answer means that is no success. pause: the seconds that it asks for."""
    if 300 <= status < 400:
        raise RefusedError(
            f"{host} answered {status}: the address has moved, and nothing is sent on to another; "
            "name the new address"
        )
    if status in IN_TROUBLE and pause > LONGEST_PAUSE:
        asked = f"asks for a pause of {count(math.ceil(pause / 60), 'minute')}"
        raise NotTakenError(f"{host} answered {status} and {asked}", pause)
    if status in IN_TROUBLE:
        raise NotTakenError(f"{host} answered {status}, {ATTEMPTS} times")
    if not 200 <= status < 300:
        closed = "; see the secrets of the sink (AMAD_NOTIFY_...)" if status in (401, 403) else ""
        raise RefusedError(f"{host} answered {status}{closed}")


class _Attempts(Retry):
    """Ends the attempts where the server asks for a longer pause than a job makes."""

    def asked_pause(self, headers: Mapping[str, str]) -> float:
        """Seconds that the server asks to be left alone, at most six hours; 0 if it does not."""
        try:
            return self.parse_retry_after(headers.get("Retry-After", "0"))
        except (InvalidHeader, ValueError, OverflowError):  # the last two: of a date beyond all
            return 0.0

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """The pause before the next attempt; a header that cannot be read asks for none."""
        return self.asked_pause(response.headers) or None

    def increment(self, *of: Any, **known: Any) -> Self:
        """What is left of the attempts after one more."""
        response = known.get("response")
        if response is not None and self.asked_pause(response.headers) > LONGEST_PAUSE:
            raise MaxRetryError(known["_pool"], "")
        return super().increment(*of, **known)


def _trouble(error: requests.exceptions.RequestException, timeout: float) -> str:
    """What happened, from the kinds of the errors alone: their texts hold the address."""
    if told := of_connection(error):
        return told
    chain = {type(known).__name__ for known in causes(error)}
    if "ProxyError" in chain:
        return "cannot be reached by the proxy that HTTP_PROXY or HTTPS_PROXY names"
    if {"ReadTimeout", "ReadTimeoutError"} & chain:
        return f"did not answer within {timeout:g} s, {ATTEMPTS} times"
    if {"InvalidURL", "InvalidSchema", "MissingSchema", "LocationParseError"} & chain:
        return "has an address that cannot be used"
    if {"NewConnectionError", "ConnectTimeoutError", "ConnectTimeout"} & chain:
        return f"cannot be reached, {ATTEMPTS} times"
    return f"broke off the connection, {ATTEMPTS} times"
