"""One mail per job: all notices as plain text and as HTML."""

import smtplib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

from amad.config.sinks import Mail
from amad.notify.ledger import Parcel
from amad.notify.sinks.errors import (
    NotTakenError,
    PartlyRefusedError,
    RefusedError,
    of_connection,
)
from amad.notify.wording import HEALTH, MOST, Notice, left_out, plain_text, subject

LIST = '<ul style="padding-left: 1.2em">'  # of a phone's width, the default takes a tenth
# Later the same mail may be taken: a mailbox is full, the server asks for patience.
FOR_NOW = range(400, 500)


def send(parcel: Parcel, mail: Mail, password: str | None, timeout: float) -> None:
    """Send the parcel as one mail to those of ``mail.to`` who have not got it yet.

    The mail's ``Message-ID`` is made of the parcel's key, so a mail that is sent twice because its
    answer was lost has the same one, by which mail programs show it once.

    Raises:
        PartlyRefusedError: the server took it for some addresses alone, now or earlier.
        RefusedError: the server answered that it does not take this mail.
        NotTakenError: no answer, or one that says that it may be taken later.
    """
    message, to = compose(parcel, mail), receivers(parcel, mail)
    if not to:  # who was refused is no longer among those who get mail
        return
    try:
        refused = _handed_over(message, to, mail, password, timeout)
    except smtplib.SMTPRecipientsRefused as error:
        raise _all_refused(mail, error.recipients, parcel) from None
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        raise _told(error, mail, timeout) from None
    if refused:
        raise _refused(mail, refused)


def _handed_over(
    message: EmailMessage, to: list[str], mail: Mail, password: str | None, timeout: float
) -> Mapping[str, tuple[int, bytes]]:
    """Give the mail to the server; the addresses that it refused, each with its answer."""
    with _connected(mail, timeout) as server:
        if mail.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if mail.user is not None:
            server.login(mail.user, password or "")
        return server.send_message(message, to_addrs=to)


def _all_refused(mail: Mail, answers: Mapping[str, tuple[int, bytes]], parcel: Parcel) -> Exception:
    """The error where no address was taken: they may be taken later if one of them may."""
    if parcel.left:
        return _refused(mail, answers)
    codes = [code for code, _ in answers.values()]
    kind = NotTakenError if any(code in FOR_NOW for code in codes) else RefusedError
    return kind(f"{mail.host} refused every address ({codes[0]})")


def _told(error: Exception, mail: Mail, timeout: float) -> Exception:
    """Any other error of the connection, as a sentence that names the server and the key."""
    host = mail.host
    if told := of_connection(error):
        return NotTakenError(f"{host} {told}")
    match error:
        case smtplib.SMTPAuthenticationError():
            return NotTakenError(
                f"{host} did not let {mail.user} log in ({error.smtp_code}); see "
                "AMAD_NOTIFY_MAIL_PASSWORD"
            )
        case smtplib.SMTPResponseException(smtp_code=code):
            kind = NotTakenError if code in FOR_NOW or code < 0 else RefusedError
            return kind(f"{host} answered {code}")
        case smtplib.SMTPNotSupportedError():
            what = "STARTTLS" if mail.security == "starttls" else "a log-in"
            return NotTakenError(f"{host} does not offer {what}; see mail.security and mail.user")
        case UnicodeError():
            return NotTakenError(
                f"{host} cannot be spoken to: its name, mail.user and AMAD_NOTIFY_MAIL_PASSWORD "
                "take letters, digits and signs of ASCII alone"
            )
        case TimeoutError():
            return NotTakenError(f"{host} did not answer within {timeout:g} s")
    return NotTakenError(
        f"{host}:{mail.port} cannot be reached, or broke off ({type(error).__name__})"
    )


def receivers(parcel: Parcel, mail: Mail) -> list[str]:
    """The addresses that have not got the parcel yet."""
    return [to for to in mail.to if not parcel.left or to in parcel.left]


def _refused(mail: Mail, answers: Mapping[str, tuple[int, bytes]]) -> PartlyRefusedError:
    left = sorted(answers)
    code, _ = answers[left[0]]
    return PartlyRefusedError(f"{mail.host} refused {', '.join(left)} ({code})", left)


def compose(parcel: Parcel, mail: Mail) -> EmailMessage:
    """The mail of a parcel."""
    notices = parcel.notices
    message = EmailMessage()
    message["Subject"] = subject(notices, parcel.fleet)
    message["From"] = mail.sender
    message["To"] = ", ".join(receivers(parcel, mail))
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{parcel.key}@{mail.sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(plain_text(notices, parcel.health, parcel.report))
    message.add_alternative(html(notices, parcel.health, parcel.report), subtype="html")
    return message


def html(notices: list[Notice], health: list[str], report: str) -> str:
    """The notices, and what the fleet lacks, as a page of HTML that loads nothing.

    What to check is bold.
    """
    blocks = []
    for notice in notices[:MOST]:
        checks = {sentence for item in notice.incidents for sentence in item.check}
        lines = "".join(
            f"<li>{f'<b>{escape(line)}</b>' if line in checks else escape(line)}</li>"
            for line in notice.sentences[:-1]
        )
        blocks.append(f"<h3>{escape(notice.headline)}</h3>\n{LIST}{lines}</ul>")
    blocks += [f"<p>{escape(line)}</p>" for line in left_out(notices)]
    if health:
        lines = "".join(f"<li>{escape(line)}</li>" for line in health)
        blocks.append(f"<h3>{HEALTH}</h3>\n{LIST}{lines}</ul>")
    link = f'<a href="{escape(report)}">{escape(report)}</a>' if "://" in report else escape(report)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"></head>'
        '<body style="font-family: sans-serif">\n'
        + "\n".join(blocks)
        + f"\n<p>Report: {link}</p>\n</body></html>\n"
    )


@contextmanager
def _connected(mail: Mail, timeout: float) -> Iterator[smtplib.SMTP]:
    """A connection; what goes wrong in the farewell does not undo a mail that was taken."""
    server: smtplib.SMTP
    if mail.security == "tls":
        context = ssl.create_default_context()
        server = smtplib.SMTP_SSL(mail.host, mail.port, timeout=timeout, context=context)
    else:
        server = smtplib.SMTP(mail.host, mail.port, timeout=timeout)
    try:
        yield server
        with suppress(OSError, smtplib.SMTPException):
            server.quit()
    finally:
        server.close()
