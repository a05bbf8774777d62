"""Mail to real SMTP servers: one digest per job, encrypted where it must be, and sent once."""

import pytest
from notify_kit import (
    SmtpServer,
    Yard,
    a_certificate,
    an_incident,
    closing,
    lines,
    patience,
    text_of,
)

from amad.config import NotifyError
from amad.notify import wording
from amad.notify.delivery import preview, tell
from amad.notify.ledger import read_ledger
from amad.notify.sinks import mail


@pytest.fixture
def yard(tmp_path, monkeypatch) -> Yard:
    monkeypatch.setenv("AMAD_NOTIFY_MAIL_PASSWORD", "pass-of-the-test")
    return Yard(tmp_path / "home")


def test_mail_is_one_digest_per_job_in_text_and_html(yard, post):
    yard.sinks(mail=post.mail(to=["a@fleet.example", "b@fleet.example"]))
    yard.vehicles.append("<van>&2")
    yard.publish(0, an_incident("van-1", severity=90), an_incident("<van>&2", hour=12))
    tell(yard.stage)
    tell(yard.stage)
    (message,) = post.got
    assert message["To"] == "a@fleet.example, b@fleet.example"
    assert message["Subject"] == "amad kit: 2 new; worst critical"
    assert message["Auto-Submitted"] == "auto-generated" and message["Date"]
    assert "van-1: new incident; critical" in text_of(message)
    assert "&lt;van&gt;&amp;2: new" in text_of(message, "html")
    checks = (
        "<li><b>Find out what changed when it began: a part, a setting, a calibration.</b></li>"
    )
    assert text_of(message, "html").replace("\n", "").count(checks) == 2, "what to do is bold"
    yard.publish(1)
    tell(yard.stage)
    assert len(post.got) == 1, "no mail where nothing changed"


def test_mail_says_what_the_fleet_lacks_and_a_second_attempt_says_the_same(yard, post):
    yard.sinks(mail=post.mail(), file={})
    yard.publish(0, an_incident())
    dead = ["<van>-2 has 1 day quarantined: Vehicle.Coolant null in 67 % of rows"]
    health = {"quarantined": dead, "silent": ["van-8 is silent", "van-9 is silent"]}
    yard.log(0, health=health, findings=["quarantined: 2", "silent: van-8", "silent: van-9"])
    post.fail = ["lost"]
    with pytest.raises(NotifyError):
        tell(yard.stage)
    yard.log(0)
    tell(yard.stage)
    first, again = post.got
    assert text_of(first) == text_of(again), "as it was when it was to be told"
    lines_ = [line.strip() for line in text_of(first).splitlines()]
    head = lines_.index("Fleet health, which no incident can show:")
    assert lines_[head + 1 : head + 3] == [
        "Silent vehicles: van-8 is silent; van-9 is silent.",
        f"Unscored quarantined days: {dead[0]}.",
    ]
    assert "&lt;van&gt;-2 has 1 day quarantined" in text_of(first, "html")
    notices = [line for line in lines(yard) if line["type"] == "incidents"]
    assert notices and "quarantined" not in str(notices), "a notice is about incidents"


def test_a_mail_tells_what_is_new_of_fleet_health_once_also_without_an_incident(yard, post):
    yard.sinks(mail=post.mail())
    yard.publish(0)
    eight = {"health": {"silent": ["van-8 is silent for 2 days"]}, "findings": ["silent: van-8"]}
    yard.log(0, **eight)
    for code in ("554", None):  # refused for good, so it is told anew by the next job
        post.fail = [code] if code else []
        if code:
            with pytest.raises(NotifyError):
                tell(yard.stage)
        else:
            assert str(tell(yard.stage)["mail"]) == "1 notice sent"
    assert [message["Subject"] for message in post.got] == ["amad kit: fleet health, something new"]
    assert "Silent vehicles: van-8 is silent for 2 days." in text_of(post.got[0])
    assert "report.html" in text_of(post.got[0]) and "report.html" in text_of(post.got[0], "html")
    yard.log(1, health={"silent": ["van-8 is silent for 3 days"]}, findings=["silent: van-8"])
    tell(yard.stage)
    assert len(post.got) == 1, "the same finding, in other words"
    yard.log(2)
    tell(yard.stage)
    yard.log(3, **eight)
    tell(yard.stage)
    assert len(post.got) == 2, "it had been mended"
    nine = {"silent": ["van-8 is silent", "van-9 is silent"]}
    yard.log(4, health=nine, findings=["silent: van-8", "silent: van-9"])
    (parcel,) = preview(yard.stage).sinks["mail"]
    assert parcel.findings == ["silent: van-9"] and not parcel.notices
    tell(yard.stage)
    told = text_of(post.got[2])
    assert "Silent vehicles: van-9 is silent." in told, "in words what is new"
    assert "Told before, and not mended: silent vehicles (van-8)." in told
    assert len({message["Message-ID"] for message in post.got}) == 3
    yard.log(5, status="failed", findings=None)
    yard.log(6, health=nine, findings=["silent: van-8", "silent: van-9"])
    for _ in range(2):
        tell(yard.stage)
    assert len(post.got) == 3, "a job that could not look has mended nothing"


def test_a_mail_on_fleet_health_that_waited_is_not_sent_once_all_of_it_is_mended(yard, post):
    yard.sinks(mail=post.mail())
    yard.publish(0)
    post.fail = ["451"]
    yard.log(0, health={"silent": ["van-8 is silent"]}, findings=["silent: van-8"])
    with pytest.raises(NotifyError):
        tell(yard.stage)
    yard.log(1, health={"silent": ["van-9 is silent"]}, findings=["silent: van-9"])
    tell(yard.stage)
    (sent,) = post.got
    assert "van-9 is silent" in text_of(sent) and "van-8" not in text_of(sent)
    yard.log(2)
    tell(yard.stage)
    assert len(post.got) == 1


def test_a_password_that_smtp_cannot_send_stops_no_other_sink(yard, monkeypatch):
    monkeypatch.setenv("AMAD_NOTIFY_MAIL_PASSWORD", "p\xe4ssword")
    with closing(SmtpServer(password="x", auth_require_tls=False)) as server:
        yard.sinks(mail=server.mail(user="amad"), prometheus={"textfile": "kit.prom"})
        yard.publish(0, an_incident())
        with pytest.raises(NotifyError, match="AMAD_NOTIFY_MAIL_PASSWORD take letters"):
            tell(yard.stage)
    assert (yard.home / "kit.prom").exists()


@pytest.mark.parametrize("how", ["451", "lost", "hang"])
def test_a_mail_that_was_not_taken_comes_again_with_the_same_id(yard, post, how):
    yard.sinks(mail=post.mail(), **patience(how))
    yard.publish(0, an_incident())
    post.fail = [how]
    with pytest.raises(NotifyError, match=r"mail: 127\.0\.0\.1"):
        tell(yard.stage)
    post.fail = []
    yard.sinks(mail=post.mail())
    yard.publish(1, an_incident(night=1))
    tell(yard.stage)
    tell(yard.stage)
    assert len(set(post.ids)) == 2 and len(post.got) == 2 + (how == "lost")


def test_a_mail_that_is_refused_is_told_anew(yard, post):
    yard.sinks(mail=post.mail())
    yard.publish(0, an_incident())
    post.fail = ["554"]
    with pytest.raises(NotifyError, match="answered 554"):
        tell(yard.stage)
    tell(yard.stage)
    assert len(post.got) == 1


@pytest.mark.parametrize("answer", ["450 busy", "550 unknown"])
def test_only_the_addresses_that_were_refused_are_told_again_and_each_once(yard, post, answer):
    """A full mailbox, or a wrong address: it keeps no other address from what is new either."""
    a, b, c = (f"{name}@fleet.example" for name in "abc")
    yard.sinks(mail=post.mail(to=[a, b, c]), file={})
    yard.publish(0, an_incident())
    post.refuse = {b: answer, c: answer}
    with pytest.raises(NotifyError, match=rf"refused {b}, {c} \({answer[:3]}\) \(1 notice sent"):
        tell(yard.stage)
    assert len(lines(yard)) == 1
    del post.refuse[c]
    yard.publish(1, an_incident("van-2", night=1))
    with pytest.raises(NotifyError, match=rf"refused {b} "):
        tell(yard.stage)
    assert post.told == [[a], [c], [a, c]]
    assert post.ids[0] == post.ids[1] != post.ids[2]
    post.refuse, post.fail = {}, ["554"]
    with pytest.raises(NotifyError, match="answered 554"):
        tell(yard.stage)
    tell(yard.stage)
    tell(yard.stage)
    assert sorted(post.told[3:]) == [[b], [b]]
    assert sorted(post.ids[3:]) == sorted(post.ids[1:3])


def test_who_gets_no_mail_any_more_is_not_waited_for(yard, post):
    a, b = "a@fleet.example", "b@fleet.example"
    yard.sinks(mail=post.mail(to=[a, b]))
    yard.publish(0, an_incident())
    post.refuse = {b: "550 unknown"}
    with pytest.raises(NotifyError):
        tell(yard.stage)
    yard.publish(13)
    with pytest.raises(NotifyError):
        tell(yard.stage)
    yard.publish(15)
    tell(yard.stage)
    assert read_ledger(yard.runs, "mail").parcels == [], "of what is that old nobody is told"
    yard.publish(16, an_incident(night=16))
    with pytest.raises(NotifyError):
        tell(yard.stage)
    yard.sinks(mail=post.mail(to=[a]))
    tell(yard.stage)
    assert read_ledger(yard.runs, "mail").parcels == [] and post.told == [[a], [a]]


def test_a_digest_writes_out_the_first_notices_alone(yard, post, monkeypatch):
    monkeypatch.setattr(wording, "MOST", 2)
    monkeypatch.setattr(mail, "MOST", 2)
    yard.sinks(mail=post.mail(), file={})
    severities = (20, 20, 40, 60, 80)
    yard.vehicles = [f"van-{n}" for n in range(len(severities))]
    made = [
        an_incident(f"van-{n}", hour=4 * n, severity=severity)
        for n, severity in enumerate(severities)
    ]
    yard.publish(0, *made)
    tell(yard.stage)
    (message,) = post.got
    for kind in ("plain", "html"):
        text = text_of(message, kind)
        assert "van-4: " in text and "van-3: " in text and "van-2: " not in text
        assert "And 3 more of lower severity, or over (1 medium, 2 low); see the report." in text
    assert len(lines(yard)) == 5


def test_mail_is_encrypted_and_logs_in_where_the_server_wants_it(yard, tmp_path, monkeypatch):
    """STARTTLS with a certificate that this machine is made to trust, and a password."""
    certificate, context = a_certificate(tmp_path)
    secure = {"tls_context": context, "require_starttls": True, "auth_required": True}
    with closing(SmtpServer(password="pass-of-the-test", **secure)) as server:
        yard.sinks(mail=server.mail(security="starttls", user="amad", host="localhost"))
        yard.publish(0, an_incident())
        with pytest.raises(NotifyError, match=r"mail: localhost has a certificate.*self-signed"):
            tell(yard.stage)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setenv("AMAD_NOTIFY_MAIL_PASSWORD", "another-word")
        with pytest.raises(NotifyError, match="did not let amad log in") as told:
            tell(yard.stage)
        assert "another-word" not in str(told.value) and not server.got
        monkeypatch.setenv("AMAD_NOTIFY_MAIL_PASSWORD", "pass-of-the-test")
        tell(yard.stage)
        assert len(server.got) == 1
    with closing(SmtpServer()) as plain:
        yard.sinks(mail=plain.mail(security="starttls", host="localhost"))
        yard.publish(1, an_incident(night=1))
        with pytest.raises(NotifyError, match="localhost does not offer STARTTLS"):
            tell(yard.stage)
        assert not plain.got, "nothing leaves without the encryption that was asked for"
