"""Real servers on loopback are told what changed, whatever becomes of them."""

import json
import time
from datetime import date
from pathlib import Path

import pytest
from notify_kit import HOST, Yard, an_incident, lines, patience
from prometheus_client.parser import text_string_to_metric_families

from amad.config import ConfigError, NotifyError, Settings
from amad.config.sinks import Secrets, load_sinks
from amad.notify.delivery import preview, tell
from amad.notify.sinks import http
from amad.notify.sinks.webhook import signature
from amad.telemetry.files import write_json

KEY = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0"
SECRETS = {"AMAD_NOTIFY_WEBHOOK_KEY": KEY, "AMAD_NOTIFY_MAIL_PASSWORD": "pass-of-the-test"}


@pytest.fixture
def yard(tmp_path, monkeypatch) -> Yard:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.01)
    return Yard(tmp_path / "home")


def test_a_fleet_without_a_file_tells_nobody(yard):
    yard.publish(0, an_incident())
    assert tell(yard.stage) == {} and not (yard.runs / "told").exists()


def test_a_webhook_gets_one_signed_post_per_notice(yard, web):
    yard.sinks(webhook={"url": web.url + "/{fleet}"})
    yard.publish(0, an_incident("van-1"), an_incident("van-2", hour=12))
    before = time.time()
    tell(yard.stage)
    tell(yard.stage)
    assert len(web.got) == 2
    for request in web.got:
        assert (request.method, request.path) == ("POST", "/kit")
        head, notice = request.headers, request.json
        stamp = head["webhook-timestamp"]
        assert before - 1 <= int(stamp) <= time.time() + 1
        assert head["webhook-signature"] == signature(KEY, notice["key"], stamp, request.body)
        assert head["idempotency-key"] == head["webhook-id"] == notice["key"]
        (incident,) = notice["incidents"]
        assert notice["key"] == f"{incident['incident_id']}-1-new"
        assert incident["channels"] == ["Vehicle.Coolant", "Vehicle.Speed"]
        assert incident["start"].startswith("2026-01-10T") and incident["start"].endswith("Z")


def test_the_signature_is_that_of_the_specification():
    """The example of the Standard Webhooks specification, with its published answer."""
    key, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature("plain words", "a", "1", b"") != found
    with pytest.raises(ConfigError, match="AMAD_NOTIFY_WEBHOOK_KEY"):
        signature("whsec_no base64!", "a", "1", b"")


@pytest.mark.parametrize("how", ["500", "503", "429", "lost"])
def test_a_server_in_trouble_is_asked_again_with_the_same_key(yard, web, how):
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, an_incident())
    web.fail = [how, how]
    tell(yard.stage)
    assert len(web.got) == 3 and len({r.headers["idempotency-key"] for r in web.got}) == 1
    assert len({r.body for r in web.got}) == 1 and len(web.taken) == 1


@pytest.mark.parametrize("how", ["500", "lost", "hang"])
def test_what_was_not_answered_is_sent_again_by_the_next_job_with_the_same_key(yard, web, how):
    sinks = {"webhook": {"url": web.url}, "file": {}}
    yard.sinks(**sinks, **patience(how))
    first, second = an_incident(), an_incident(night=1, vehicle="van-2")
    yard.publish(0, first)
    web.fail = [how] * http.ATTEMPTS
    with pytest.raises(NotifyError, match="webhook: ") as told:
        tell(yard.stage)
    assert told.value.exit_code == 7 and HOST in str(told.value)
    assert len(lines(yard)) == 1, "another sink is told all the same"
    yard.sinks(**sinks)
    yard.publish(1, second)
    tell(yard.stage)
    assert [len(r.json["incidents"]) for r in web.taken] == [1, 1]
    keys = [request.headers["idempotency-key"] for request in web.got]
    assert len(set(keys)) == 2 and keys[: http.ATTEMPTS + 1] == [keys[0]] * (http.ATTEMPTS + 1)
    assert len({r.body for r in web.got[: http.ATTEMPTS + 1]}) == 1, "the same message too"


def test_a_message_that_is_refused_holds_up_no_other_and_is_told_as_it_is_then(yard, web):
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, an_incident("van-1"), an_incident("van-2", hour=12))
    web.fail = ["400"]
    with pytest.raises(NotifyError, match=r"answered 400 \(1 notice sent\)"):
        tell(yard.stage)
    assert len(web.taken) == 1
    yard.publish(0, an_incident("van-1", severity=90), an_incident("van-2", hour=12))
    tell(yard.stage)
    assert [r.json["level"] for r in web.taken] == ["high", "critical"]
    tell(yard.stage)
    assert len(web.got) == 3


def test_fleet_health_is_a_signed_message_and_one_that_is_refused_is_told_anew(yard, web, capsys):
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, an_incident())
    quarantined = {"quarantined": ["van-2 has 1 day quarantined", "van-3 has 2 days quarantined"]}
    both = ["quarantined: van-2", "quarantined: van-3"]
    yard.log(0, health=quarantined, findings=both)
    (incident, health) = preview(yard.stage).sinks["webhook"]
    assert incident.health == [] and health.health == [
        "Unscored quarantined days: van-2, van-3"
    ]  # fmt: skip
    web.fail = ["200", "400"]
    with pytest.raises(NotifyError, match=r"answered 400 \(1 notice sent\)"):
        tell(yard.stage)
    assert str(tell(yard.stage)["webhook"]) == "1 notice sent"
    incident, told = web.taken
    assert incident.json["type"] == "incidents" and told.json["type"] == "health"
    assert told.headers["webhook-id"] == told.json["key"] == told.json["findings"][0]["key"]
    stamp = told.headers["webhook-timestamp"]
    assert told.headers["webhook-signature"] == signature(KEY, told.json["key"], stamp, told.body)
    assert told.json["incidents"] == [] and told.json["kind"] == "quarantined"
    assert [f["text"] for f in told.json["findings"]] == quarantined["quarantined"]
    assert told.json["sentences"][2].startswith("They are neither trained on nor scored")
    yard.log(1, health={"quarantined": quarantined["quarantined"][:1]}, findings=both[:1])
    web.fail = ["400"]
    with pytest.raises(NotifyError, match="answered 400"):
        tell(yard.stage)
    tell(yard.stage)
    tell(yard.stage)
    assert len(web.taken) == 3 and web.taken[2].json["state"] == "mended"
    assert web.taken[2].json["headline"] == "Mended: unscored quarantined days: van-3"


def test_a_redirect_is_not_followed(yard, web):
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, an_incident())
    web.fail = ["307"]
    with pytest.raises(NotifyError, match="answered 307"):
        tell(yard.stage)
    assert len(web.got) == 1


def test_a_server_that_is_not_there_is_told_without_its_secrets(yard, monkeypatch):
    monkeypatch.setenv("AMAD_NOTIFY_WEBHOOK_URL", "http://127.0.0.1:9/secret-path")
    monkeypatch.setenv("AMAD_NOTIFY_HEARTBEAT_URL", "http://127.0.0.1:9/secret-beat")
    monkeypatch.setenv("AMAD_NOTIFY_CHAT_URLS", "json://127.0.0.1:9/secret-chat")
    nobody = {"host": HOST, "port": 9, "sender": "a@b.example", "to": ["c@d.example"]}
    yard.sinks(webhook={}, mail=nobody, chat=True)
    yard.publish(0, an_incident())
    with pytest.raises(NotifyError) as told:
        tell(yard.stage)
    for name in ("webhook: 127.0.0.1 cannot be reached", "mail: 127.0.0.1:9", "chat: "):
        assert name in str(told.value)
    files = [path for path in yard.home.rglob("*") if path.is_file()]
    written = "".join(path.read_bytes().decode(errors="replace") for path in files)
    for secret in ("secret-", *SECRETS.values()):
        assert secret not in str(told.value) and secret not in written


def test_the_job_log_says_what_became_of_each_sink(yard, web, post):
    yard.sinks(webhook={"url": web.url}, mail=post.mail(), file={})
    yard.publish(0, an_incident())
    web.fail = ["400"]
    with pytest.raises(NotifyError, match="1 sink failed"):
        tell(yard.stage)
    (log,) = [json.loads(p.read_text()) for p in (yard.runs / "jobs").iterdir()]
    assert log["sinks"] == {
        "file": "1 notice sent",
        "webhook": "failed: 127.0.0.1 answered 400 (0 notices sent)",
        "mail": "1 notice sent",
    }
    assert log["status"] == "done", "scoring is not failed for it"


def test_the_file_is_mended_where_a_line_was_cut_short(yard):
    yard.sinks(file={})
    yard.publish(0, an_incident())
    tell(yard.stage)
    path = yard.runs / "alerts.jsonl"
    whole = path.read_bytes()
    (yard.runs / "told" / "file.json").unlink()
    path.write_bytes(whole + whole[:20])
    tell(yard.stage)
    assert path.read_bytes() == whole, "each key once, and no torn line"


def test_chat_services_get_a_text(yard, web, monkeypatch):
    """Apprise's own JSON service, which is a POST to any server."""
    monkeypatch.setenv("AMAD_NOTIFY_CHAT_URLS", web.url.replace("http:", "json:") + "/room")
    yard.sinks(chat=True)
    yard.publish(0, an_incident())
    yard.log(0, health={"silent": ["van-9 has been silent"]})
    tell(yard.stage)
    tell(yard.stage)
    (request,) = web.got
    assert request.json["title"] == "amad kit: 1 new; worst high"
    assert "Silent vehicles: van-9 has been silent." in request.json["message"]
    assert "van-1: new incident; high" in request.json["message"]
    monkeypatch.setenv("AMAD_NOTIFY_CHAT_URLS", "secret-word://x")
    yard.publish(0, an_incident(severity=90))
    with pytest.raises(NotifyError, match="address 1 is none that Apprise knows") as told:
        tell(yard.stage)
    assert "secret-word" not in str(told.value)


def metrics(text: str) -> dict[str, float]:
    return {
        " ".join([sample.name, *(v for k, v in sorted(sample.labels.items()) if k != "fleet")]):
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }  # fmt: skip


def test_prometheus_reads_the_state_of_the_last_job(yard, web):
    yard.sinks(prometheus={"textfile": "metrics/{fleet}.prom", "pushgateway": web.url}, file={})
    yard.publish(0, an_incident("van-1", hour=23.8, hours=0.2), an_incident("van-2"))
    failed = [{"date": "2026-01-09", "vehicle": "van-3", "reason": "its file is damaged"}]
    yard.log(
        0, rows=576, scored=500, alarms=20, incidents=2, failed=failed,
        health={"silent": ["van-9 is silent"]},
    )  # fmt: skip
    ingested = {
        "rows_in": 200, "rows_lake": 190, "rows_merged": 0, "rows_rejected": 10,
        "rejected_by_reason": {}, "vehicles": {"van-1": 190}, "files": 1,
        "newest": {"van-1": "2026-01-10T23:50:00+00:00"},
    }  # fmt: skip
    write_json(yard.stage.folder / "ingest.json", ingested)
    tell(yard.stage)
    found = metrics((yard.home / "metrics" / "kit.prom").read_text())
    assert found["amad_job_rows"] == 576 and found["amad_job_alarms"] == 20
    assert found["amad_job_seconds"] == 90 and found["amad_job_ok"] == 1
    assert found["amad_health_findings silent"] == 1
    assert found["amad_health_findings quarantined"] == 0
    assert found["amad_health_findings unscored"] == 1
    assert found["amad_silent_vehicles"] == 1 and found["amad_refused_share"] == 0.05
    assert found["amad_open_causes high"] == 1 and found["amad_open_causes critical"] == 0
    assert found["amad_score 1"] == 7.0 and found["amad_score 0.5"] == 1.0
    assert found["amad_newest_row_timestamp_seconds"] == 1768089000
    assert found["amad_last_success_timestamp_seconds"] == 1768104090
    assert found["amad_sink_ok file"] == 1
    (pushed,) = web.got
    assert (pushed.method, pushed.path) == ("PUT", "/metrics/job/amad/fleet/kit")
    assert metrics(pushed.body.decode()) == found
    yard.sinks(
        prometheus={"textfile": "metrics/{fleet}.prom"},
        suppress=[{"reason": "campaign", "vehicles": ["van-1"]}],
    )
    tell(yard.stage)
    found = metrics((yard.home / "metrics" / "kit.prom").read_text())
    assert found["amad_open_causes high"] == 0, "nobody is told of it"
    yard.log(1, status="failed", findings=None)
    tell(yard.stage, well=False)
    found = metrics((yard.home / "metrics" / "kit.prom").read_text())
    assert found["amad_job_ok"] == 0 and found["amad_silent_vehicles"] == 1


def test_figures_that_a_pushgateway_did_not_take_are_told_again_without_a_job(yard, web):
    yard.sinks(prometheus={"pushgateway": web.url})
    yard.publish(0, an_incident())
    web.fail = ["400"]
    with pytest.raises(NotifyError, match="or 'amad notify', tells them again"):
        tell(yard.stage)
    for status, ok in (("done", 1), ("failed", 0)):
        yard.log(1, status=status)
        tell(yard.stage, well=None)
        assert metrics(web.got[-1].body.decode())["amad_job_ok"] == ok, "as its log says"


def test_a_textfile_of_another_fleet_is_not_overwritten(yard):
    yard.sinks(prometheus={"textfile": "amad.prom"})
    yard.publish(0)
    file = yard.home / "amad.prom"
    file.write_text('amad_job_ok{fleet="trucks"} 1.0\n')
    with pytest.raises(NotifyError, match="holds the figures of fleet trucks"):
        tell(yard.stage)
    assert file.read_text() == 'amad_job_ok{fleet="trucks"} 1.0\n'
    file.unlink()
    left = yard.home / ".stage-1f2e3d4c-amad.prom"
    left.touch()  # of a killed job; the collector reads every file that ends in .prom
    assert str(tell(yard.stage)["textfile"]) == f"written to {file}" and not left.exists()
    assert str(tell(yard.stage)["textfile"]) == f"written to {file}", "its own file"


def test_the_heartbeat_stays_away_where_something_failed(yard, web, monkeypatch):
    monkeypatch.setenv("AMAD_NOTIFY_HEARTBEAT_URL", web.url + "/beat/{fleet}")
    yard.sinks(heartbeat=True, webhook={"url": web.url + "/hook"})
    yard.publish(0)
    assert str(tell(yard.stage)["heartbeat"]) == "sent"
    assert [r.path for r in web.got] == ["/beat/kit"]
    tell(yard.stage, well=None)
    assert len(web.got) == 1, "'amad notify' is no job"
    yard.publish(1, an_incident(night=1))
    web.fail = ["400"]
    with pytest.raises(NotifyError):
        tell(yard.stage)
    assert [r.path for r in web.got] == ["/beat/kit", "/hook"]
    assert "only a part" in str(tell(yard.stage, well=False)["heartbeat"])
    assert [r.path for r in web.got] == ["/beat/kit", "/hook", "/hook"]


def test_a_dry_run_shows_the_messages_and_changes_nothing(yard, web, post):
    yard.sinks(webhook={"url": web.url}, mail=post.mail())
    yard.publish(0, an_incident("van-1"), an_incident("van-2", hour=12))
    before = {p: p.stat().st_mtime_ns for p in yard.home.rglob("*")}
    shown = preview(yard.stage).sinks
    many = {name: [len(parcel.notices) for parcel in found] for name, found in shown.items()}
    assert many == {"webhook": [1, 1], "mail": [2]}
    assert before == {p: p.stat().st_mtime_ns for p in yard.home.rglob("*")}
    assert not web.got and not post.got
    web.fail = ["500"] * http.ATTEMPTS
    with pytest.raises(NotifyError):
        tell(yard.stage)
    waiting = preview(yard.stage).sinks
    assert len(waiting["webhook"]) == 2 and waiting["mail"] == []


def test_a_damaged_ledger_fails_its_sink_alone_and_names_the_way_out(yard, web):
    yard.sinks(webhook={"url": web.url}, file={})
    yard.publish(0, an_incident())
    tell(yard.stage)
    ledger = yard.runs / "told" / "webhook.json"
    ledger.write_text(ledger.read_text().replace('"high"', '"low"'))
    yard.publish(1, an_incident(night=1))
    with pytest.raises(NotifyError, match=r"webhook\.json is damaged.*delete it; the incidents"):
        tell(yard.stage)
    assert len(lines(yard)) == 2
    ledger.unlink()
    tell(yard.stage)
    assert len(web.taken) == 2, "the same keys: whoever knows them is told nothing twice"


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"webhook": {"url": "https://user:word@x.example"}}, "environment alone"),
        ({"webhook": {"url": "ftp://x.example"}}, "http://"),
        ({"mail": {"host": "x", "sender": "a@b", "to": ["nobody"]}}, "no mail address: nobody"),
        ({"mail": {"host": "x", "sender": "a@b", "to": ["a@b"], "password": "p"}}, "unknown key"),
        ({"prometheus": {}}, "textfile or a pushgateway"),
        ({"prometheus": {"textfile": "amad.txt"}}, "textfile: String should match"),
        ({"suppress": [{"reason": "r", "types": ["drfit"]}]}, "'drift'.*got 'drfit'"),
        (
            {"suppress": [{"reason": "r", "first": date(2026, 2, 1), "last": date(2026, 1, 1)}]},
            "is before first",
        ),
        ({"least_level": "worst"}, "least_level"),
    ],
)
def test_a_wrong_file_of_sinks_names_the_key(yard, content, names):
    yard.sinks(**content)
    with pytest.raises(ConfigError, match=names):
        tell(yard.stage)


@pytest.mark.parametrize("sink", ["webhook", "chat"])
def test_a_secret_that_is_missing_names_its_variable(yard, web, monkeypatch, sink):
    monkeypatch.delenv("AMAD_NOTIFY_WEBHOOK_KEY")
    yard.sinks(**{"webhook": {"webhook": {"url": web.url}}, "chat": {"chat": True}}[sink])
    yard.publish(0, an_incident())
    name = {"webhook": "AMAD_NOTIFY_WEBHOOK_KEY", "chat": "AMAD_NOTIFY_CHAT_URLS"}[sink]
    with pytest.raises(NotifyError, match=f"no {name}; set it"):
        tell(yard.stage)
    assert not web.got


def test_secrets_are_not_shown():
    shown = repr(Secrets(webhook_key="of-the-test"))
    assert "of-the-test" not in shown


def test_the_example_that_ships_is_valid():
    root = Path(__file__).resolve().parent.parent
    sinks = load_sinks("_example", Settings(home=root))
    assert sinks is not None and sinks.mail is not None and sinks.webhook is not None


def test_a_damaged_lake_of_figures_stops_no_notice(yard):
    """``ingest.json`` is read for the metrics alone."""
    yard.sinks(prometheus={"textfile": "kit.prom"})
    yard.publish(0)
    (yard.stage.folder).mkdir(parents=True, exist_ok=True)
    (yard.stage.folder / "ingest.json").write_text("{")
    tell(yard.stage)
    assert "amad_refused_share" not in metrics((yard.home / "kit.prom").read_text())


def test_an_answer_that_never_ends_is_not_waited_for(yard, web):
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, an_incident())
    web.fail = ["endless"]
    assert tell(yard.stage)["webhook"].text == "1 notice sent"
