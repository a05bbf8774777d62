"""Servers that ask for a pause, and servers whose name, certificate or answer is wrong."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from notify_kit import Yard, a_certificate, an_incident

from amad.config import NotifyError
from amad.notify import ledger
from amad.notify.delivery import tell
from amad.notify.sinks import http


@pytest.fixture
def yard(tmp_path, monkeypatch, web) -> Yard:
    monkeypatch.setenv("AMAD_NOTIFY_WEBHOOK_KEY", "key")
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.01)
    yard = Yard(tmp_path / "home")
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, an_incident("van-1"), an_incident("van-2", hour=12))
    return yard


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_that_asks_for_an_hour_is_not_asked_before_it_is_over(
    yard, web, monkeypatch, form
):
    over = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    web.fail = [f"429 {3600 if form == 'seconds' else over}"]
    with pytest.raises(NotifyError, match="answered 429 and asks for a pause of 60 minutes"):
        tell(yard.stage)
    assert len(web.got) == 1, "neither this message again, nor the next one"
    yard.publish(1, an_incident("van-3", night=1))
    with pytest.raises(NotifyError, match=r"asked for a pause until \d{4}-\d\d-\d\d \d\d:\d\d UTC"):
        tell(yard.stage)
    assert len(web.got) == 1
    now = time.time()
    monkeypatch.setattr(ledger.time, "time", lambda: now + 3601)
    assert str(tell(yard.stage)["webhook"]) == "3 notices sent"
    assert len(web.taken) == 3 and web.got[0].body == web.got[1].body


def test_a_short_pause_is_made_and_one_that_nobody_can_read_is_none(yard, web):
    web.fail = ["503 1", "503 soon", "503 Fri, 31 Dec 99999 23:59:59 GMT"]
    began = time.monotonic()
    assert str(tell(yard.stage)["webhook"]) == "2 notices sent"
    assert len(web.got) == 5 and time.monotonic() - began >= 1


def test_a_clock_that_was_put_back_makes_no_pause_of_days(yard, web, monkeypatch):
    now = time.time()
    web.fail = ["429 999999"]
    monkeypatch.setattr(ledger.time, "time", lambda: now + 86_400)
    with pytest.raises(NotifyError, match="a pause of 360 minutes"):
        tell(yard.stage)
    monkeypatch.setattr(ledger.time, "time", lambda: now)
    assert str(tell(yard.stage)["webhook"]) == "2 notices sent"


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ((-48, -24), "certificate has expired"),
        ((24, 48), "not yet valid"),
        ((-1, 1), "self-signed"),
    ],
)
def test_a_certificate_that_is_not_taken_is_told_with_its_reason(
    yard, web, tmp_path, monkeypatch, hours, said
):
    certificate, context = a_certificate(tmp_path, hours)
    web.encrypt(context)
    yard.sinks(webhook={"url": web.url.replace("http://127.0.0.1", "https://localhost")})
    if said != "self-signed":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with pytest.raises(NotifyError, match=f"localhost has a certificate.*{said}.*see the clock"):
        tell(yard.stage)
    assert not web.got


def test_a_proxy_of_the_environment_that_is_away_is_named(yard, web, monkeypatch):
    yard.sinks(webhook={"url": "http://hook.example/x"})
    monkeypatch.setenv("http_proxy", "http://user:word@127.0.0.1:9")
    with pytest.raises(NotifyError, match=r"hook\.example cannot be reached by the proxy") as error:
        tell(yard.stage)
    assert "word" not in str(error.value)


def test_a_name_that_nobody_knows_and_a_port_without_tls_are_told_apart(yard, web, post):
    for url, said in (
        ("https://hook.invalid/x", "hook.invalid is not known by that name"),
        (web.url.replace("http:", "https:"), "127.0.0.1 cannot be spoken to with TLS"),
    ):
        yard.sinks(webhook={"url": url}, mail=post.mail(host="mail.invalid"))
        with pytest.raises(NotifyError, match=said) as error:
            tell(yard.stage)
        assert "mail: mail.invalid is not known by that name" in str(error.value)


def test_a_key_that_is_no_longer_taken_is_told_with_where_it_stands(yard, web):
    web.fail = ["401", "401"]
    with pytest.raises(NotifyError, match="answered 401; see the secrets of the sink"):
        tell(yard.stage)
    assert str(tell(yard.stage)["webhook"]) == "2 notices sent", "with the key that is right now"
