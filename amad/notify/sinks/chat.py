"""A text to chat services, through Apprise."""

import logging

from amad.config import ConfigError
from amad.notify.ledger import Parcel
from amad.notify.sinks.errors import NotTakenError
from amad.notify.wording import plain_text, subject


def send(parcel: Parcel, urls: str) -> None:
    """Send the parcel's notices as one text to every address.

    Apprise knows no key by which a service could tell a text that comes twice. It does not say
    which service failed either, so after a failure all of them get the text again.

    Raises:
        ConfigError: none of the addresses is one that Apprise knows.
        NotTakenError: a service did not take the text.
    """
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines may hold an address
    services = apprise.Apprise()
    wrong = [number for number, url in enumerate(urls.split(), 1) if not services.add(url)]
    if wrong:
        raise ConfigError(
            f"AMAD_NOTIFY_CHAT_URLS: address {', '.join(map(str, wrong))} is none that Apprise "
            "knows"
        )
    notices = parcel.notices
    title = subject(notices, parcel.fleet)
    body = plain_text(notices, parcel.health, parcel.report)
    if not services.notify(body=body, title=title, body_format="text"):
        raise NotTakenError("a chat service did not take the text")
