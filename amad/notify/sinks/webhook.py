"""One signed POST of JSON per notice.

The headers are those of the Standard Webhooks specification, for which there are libraries in many
languages: ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``, which is ``v1,`` and the
HMAC-SHA256, in base64, of ``<id>.<timestamp>.<body>``. ``Idempotency-Key`` is the same as the id.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time

from amad.config import ConfigError
from amad.notify.ledger import Parcel
from amad.notify.sinks import http

BASE64_KEY = "whsec_"  # how a key begins that stands in base64


def post(parcel: Parcel, url: str, key: str, timeout: float) -> None:
    """Post the parcel's messages, of which a webhook gets one per parcel.

    Raises:
        ConfigError: the key is no base64, though it begins as one.
        RefusedError, NotTakenError: see ``http.send``.
    """
    for notice in parcel.messages:
        body = json.dumps(notice.model_dump(mode="json"), sort_keys=True).encode()
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "amad",
            "Idempotency-Key": notice.key,
            "webhook-id": notice.key,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(key, notice.key, stamp, body),
        }
        http.send("POST", url, timeout, data=body, headers=headers)


def signature(key: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of ``webhook-signature``.

    Raises:
        ConfigError: the key is no base64, though it begins as one.
    """
    try:
        secret = (
            base64.b64decode(key.removeprefix(BASE64_KEY), validate=True)
            if key.startswith(BASE64_KEY)
            else key.encode()
        )
    except binascii.Error:
        raise ConfigError(
            f"AMAD_NOTIFY_WEBHOOK_KEY begins with {BASE64_KEY} and is no base64 after that"
        ) from None
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
