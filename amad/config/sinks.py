"""Who is told of a fleet's incidents: one file per fleet, ``conf/notify/<fleet>.yaml``.

A fleet without the file tells nobody. The file holds no secrets: those come from the environment
alone, see ``Secrets``. Nothing in it changes a result.
"""

import re
from datetime import date
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from amad.config.errors import ConfigError
from amad.config.settings import Settings
from amad.config.yaml_file import Strict, parse, read_mapping

Level = Literal["low", "medium", "high", "critical"]
Type = Literal[
    "stuck", "spike", "noise_burst", "delay", "relation", "drift", "level_shift", "first_move",
    "unseen_code",
]  # fmt: skip


class Webhook(Strict):
    """A server that gets one signed POST of JSON per notice.

    The key of the signature is `AMAD_NOTIFY_WEBHOOK_KEY`. An address that is a secret itself stands
    in `AMAD_NOTIFY_WEBHOOK_URL`, and this section is then `{}`.
    """

    url: str | None = None
    """Address; `{fleet}` stands for the fleet's name; default: `AMAD_NOTIFY_WEBHOOK_URL`"""


class Mail(Strict):
    """An SMTP server that gets one digest per job; its password is `AMAD_NOTIFY_MAIL_PASSWORD`."""

    host: str = Field(min_length=1)
    """Name of the SMTP server"""
    port: int = Field(587, ge=1, le=65535)
    """Port of the SMTP server"""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted; `none` is for a server on this machine"""
    user: str | None = None
    """Name to log in with; default: no log-in"""
    sender: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    """Address that the mail is from"""
    to: list[str] = Field(min_length=1)
    """Addresses that get the mail"""

    @field_validator("to")
    @classmethod
    def _addresses(cls, to: list[str]) -> list[str]:
        if wrong := [item for item in to if not re.fullmatch(r"[^@\s]+@[^@\s]+", item)]:
            raise ValueError(f"no mail address: {', '.join(wrong)}")
        return to


class JsonLines(Strict):
    """A file that gets one line of JSON per notice."""

    path: str = "runs/{fleet}/alerts.jsonl"
    """Path, relative to the home; `{fleet}` stands for the fleet's name"""


class Prometheus(Strict):
    """Figures of the last job for Prometheus."""

    textfile: str | None = Field(None, pattern=r"\.prom$")
    """Path of a `.prom` file for the textfile collector; `{fleet}` stands for the fleet's name"""
    pushgateway: str | None = None
    """Address of a Pushgateway"""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not (self.textfile or self.pushgateway):
            raise ValueError("name a textfile or a pushgateway, or leave the section out")
        return self


class Rule(Strict):
    """Incidents of which nobody is told; every key that is given must hold.

    They stay in the tables of incidents and in the report, and each job lists how many there are.
    """

    reason: str = Field(min_length=1)
    """Why, for those who read that incidents are not told"""
    vehicles: list[str] = Field(["*"], min_length=1)
    """Shell patterns of vehicles"""
    channels: list[str] = Field(["*"], min_length=1)
    """Shell patterns; the channels to blame with a quarter of the blame, and the first, match"""
    types: list[Type] = []
    """Types of incidents; default: all"""
    below: Level | None = None
    """Only incidents below this level"""
    first: date | None = None
    """First date on which the incident may begin"""
    last: date | None = None
    """Last date on which the incident may begin"""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError(
                f"last ({self.last}) is before first ({self.first}), so it never holds"
            )
        return self


class Sinks(Strict):
    """Where the changes of incidents, and the state of the last job, are sent."""

    least_level: Level = "low"
    """Incidents below this level are not told"""
    suppress: list[Rule] = []
    """Rules that say of which incidents nobody is told"""
    report_url: str | None = None
    """Address of the report, for the link in a message; default: the path of the file"""
    timeout_seconds: float = Field(10, gt=0, le=300)
    """Time that a server has to answer"""
    webhook: Webhook | None = None
    mail: Mail | None = None
    file: JsonLines | None = None
    chat: bool = False
    """Whether the services named by `AMAD_NOTIFY_CHAT_URLS` get a text per job (Apprise)"""
    prometheus: Prometheus | None = None
    heartbeat: bool = False
    """Whether `AMAD_NOTIFY_HEARTBEAT_URL` is called after each job that ended with code 0"""

    @model_validator(mode="after")
    def _without_secrets(self) -> Self:
        addresses = {
            "webhook.url": self.webhook and self.webhook.url,
            "prometheus.pushgateway": self.prometheus and self.prometheus.pushgateway,
            "report_url": self.report_url,
        }
        for key, address in addresses.items():
            if address and (urlsplit(address).password or urlsplit(address).username):
                raise ValueError(f"{key} holds a password; secrets stand in the environment alone")
            if address and urlsplit(address).scheme not in ("http", "https"):
                raise ValueError(f"{key} is no address that begins with http:// or https://")
        return self


class Secrets(BaseSettings):
    """The secrets of the sinks, each an environment variable ``AMAD_NOTIFY_<NAME>``.

    They are never written: not into a file, a message, a log or an error. ``{fleet}`` in an address
    stands for the fleet's name.

    webhook_url, heartbeat_url: addresses that are secrets themselves. webhook_key: of the
    signature. mail_password: of the user of the section ``mail``. chat_urls: addresses as Apprise
    writes them, with blanks between them.
    """

    model_config = SettingsConfigDict(env_prefix="AMAD_NOTIFY_", extra="ignore")

    webhook_url: SecretStr | None = None
    webhook_key: SecretStr | None = None
    mail_password: SecretStr | None = None
    chat_urls: SecretStr | None = None
    heartbeat_url: SecretStr | None = None

    def held(self, name: str) -> str:
        """The secret of that name without blanks around it; empty where there is none."""
        found: SecretStr | None = getattr(self, name)
        return "" if found is None else found.get_secret_value().strip()

    def need(self, name: str, fleet: str) -> str:
        """The secret of that name, ``{fleet}`` filled in.

        Raises:
            ConfigError: the environment does not hold it; names the variable.
        """
        if not (found := self.held(name)):
            raise ConfigError(f"the environment has no AMAD_NOTIFY_{name.upper()}; set it")
        return found.replace("{fleet}", fleet)


def missing_secrets(sinks: Sinks) -> list[str]:
    """The variables that the sinks need and the environment does not hold."""
    needed = {
        "webhook_key": sinks.webhook is not None,
        "webhook_url": sinks.webhook is not None and sinks.webhook.url is None,
        "mail_password": sinks.mail is not None and sinks.mail.user is not None,
        "chat_urls": sinks.chat,
        "heartbeat_url": sinks.heartbeat,
    }
    secrets = Secrets()
    return [
        f"AMAD_NOTIFY_{name.upper()}"
        for name, wanted in needed.items()
        if wanted and not secrets.held(name)
    ]


def load_sinks(fleet: str, settings: Settings) -> Sinks | None:
    """The sinks of a fleet; None where it has no file of them.

    Raises:
        ConfigError: a key is wrong (names the file, the key and the accepted values), or the file
            ends in ``.yml``, so that it would never be read.
    """
    path = settings.conf_dir / "notify" / f"{fleet}.yaml"
    if not path.is_file():
        if (other := path.with_suffix(".yml")).exists():
            raise ConfigError(f"{other} is not read; name it {path.name}")
        return None
    return parse(Sinks, read_mapping(path), str(path))
