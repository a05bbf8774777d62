"""The sinks that a fleet's file names: some get notices, some get the state of the job."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from amad.config import Stage
from amad.config.sinks import Secrets, Sinks
from amad.notify.ledger import Parcel
from amad.notify.metrics import job_metrics, to_prometheus
from amad.notify.published import Window
from amad.notify.sinks import chat, http, json_lines, mail, webhook
from amad.scores.job_log import FAILED, JobLog


@dataclass(frozen=True, kw_only=True)
class NoticeSink:
    """A sink of notices.

    single: whether a parcel has one notice; else it has all notices of a job. send: sends a parcel.
    people: whether it is for people, who are told what the fleet lacks as sentences in one message
    with the notices; a program gets it as messages of their own.
    """

    name: str
    single: bool
    send: Callable[[Parcel], None]
    people: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of telling one sink. text: what was done, or why it failed."""

    failed: bool
    text: str

    def __str__(self) -> str:
        return f"{FAILED}{self.text}" if self.failed else self.text


def notice_sinks(sinks: Sinks, stage: Stage) -> list[NoticeSink]:
    """The sinks of notices that the file names; a file first, because it seldom fails."""
    fleet, seconds, secrets = stage.fleet.name, sinks.timeout_seconds, Secrets()
    found = []
    if sinks.file is not None:
        path = stage.settings.home / sinks.file.path.replace("{fleet}", fleet)
        to_file = partial(json_lines.append, file=path)
        found.append(NoticeSink(name="file", single=False, send=to_file))
    if (hook := sinks.webhook) is not None:

        def to_webhook(parcel: Parcel) -> None:
            url = hook.url.replace("{fleet}", fleet) if hook.url else ""
            url = url or secrets.need("webhook_url", fleet)
            webhook.post(parcel, url, secrets.need("webhook_key", fleet), seconds)

        found.append(NoticeSink(name="webhook", single=True, send=to_webhook))
    if (digest := sinks.mail) is not None:

        def to_mail(parcel: Parcel) -> None:
            password = secrets.need("mail_password", fleet) if digest.user else None
            mail.send(parcel, digest, password, seconds)

        found.append(NoticeSink(name="mail", single=False, send=to_mail, people=True))
    if sinks.chat:

        def to_chat(parcel: Parcel) -> None:
            chat.send(parcel, secrets.need("chat_urls", fleet))

        found.append(NoticeSink(name="chat", single=False, send=to_chat, people=True))
    return found


def state_sinks(
    stage: Stage,
    sinks: Sinks,
    jobs: list[JobLog],
    window: Window,
    outcomes: dict[str, Outcome],
    well: bool | None,
) -> dict[str, Callable[[], str]]:
    """By sink, the work that tells it the state of the last job; the heartbeat comes last.

    jobs: the logs of those that have ended, the newest last. outcomes: of the sinks before, which
    are filled in while the work is done. well: whether the last job did all it should; None where
    none has just ended: its figures are told again, and no heartbeat is sent.
    """
    found: dict[str, Callable[[], str]] = {}
    if sinks.prometheus is not None:
        took = {name: not outcome.failed for name, outcome in outcomes.items()}
        found = to_prometheus(job_metrics(stage, jobs, window, took, well), stage, sinks)
    if sinks.heartbeat and well is not None:

        def beat() -> str:
            if not well:
                return "left out, since the job failed, or did only a part"
            if any(outcome.failed for outcome in outcomes.values()):
                return "left out, since another sink failed"
            url = Secrets().need("heartbeat_url", stage.fleet.name)
            http.send("GET", url, sinks.timeout_seconds)
            return "sent"

        found["heartbeat"] = beat
    return found
