"""What people say of incidents, and rules of whom nobody is told, are kept and honoured."""

import json
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest
from filelock import FileLock
from notify_kit import COOLANT, DAY, SPEED, VOLTAGE, Yard, an_incident, lines
from report_kit import judge

from amad.cli.__main__ import run
from amad.config import ConfigError, DataError, NotifyError
from amad.config.sinks import Rule
from amad.notify.delivery import preview, tell
from amad.notify.published import read_window
from amad.notify.suppressed import applies
from amad.report.verdicts import Verdicts
from amad.scores import partitions
from amad.scores.feedback import Feedback, find_incident, read_feedback
from amad.scores.partitions import manifests


@pytest.fixture
def yard(home) -> Yard:
    return Yard(home)


def job(yard: Yard) -> dict:
    return json.loads(max((yard.runs / "jobs").glob("*.json")).read_text())


@pytest.mark.parametrize("verdict", ["false", "planned"])
def test_of_an_incident_that_was_none_nobody_is_told_any_more(yard, verdict):
    yard.sinks(file={})
    going = an_incident(hour=23.5, hours=0.5)
    yard.publish(0, going)
    tell(yard.stage)
    judge(yard.runs, going.incident_id, verdict, "the workshop did it")
    yard.publish(1)
    tell(yard.stage)
    assert [line["state"] for line in lines(yard)] == ["new"]
    assert job(yard)["suppressed"] == {going.incident_id: f"judged as {verdict}"}
    judge(yard.runs, going.incident_id, "true")
    tell(yard.stage)
    assert [line["state"] for line in lines(yard)] == ["new", "over"]


def test_a_profile_that_is_not_there_is_told_by_what_does_not_need_it_either(
    yard, monkeypatch, capsys
):
    """With a storage in the profile that was meant, the verdict would have gone there."""
    yard.publish(0, an_incident())
    monkeypatch.setenv("AMAD_CLUSTER", "kuberai")
    assert run(["feedback", an_incident().incident_id, "true"]) == 2
    assert "no cluster profile" in capsys.readouterr().err
    assert read_feedback(yard.runs).incidents == {}
    monkeypatch.setenv("AMAD_CLUSTER", "")  # as if it were not set
    assert run(["feedback", an_incident().incident_id, "true"]) == 0


def test_the_newest_verdict_counts_and_precision_leaves_planned_work_out(yard):
    made = [an_incident(f"van-{n}", hour=n) for n in (1, 2, 3, 4)]
    yard.publish(0, *made)
    for item, verdict in zip(made, ("true", "true", "false", "planned"), strict=True):
        judge(yard.runs, item.incident_id, verdict)
    judge(yard.runs, made[0].incident_id, "false", "a loose plug")
    found = read_feedback(yard.runs)
    assert found.precision == (1, 3)
    first = found.incidents[made[0].incident_id]
    assert (first.verdict, first.note, first.vehicle) == ("false", "a loose plug", "van-1")


def test_a_verdict_is_on_the_whole_of_an_incident_over_several_dates(yard):
    """What it is kept as is what it was judged as: the worst part says channels and level."""
    calm = an_incident(hour=23.5, severity=20.0, deviation=5.0)
    bad = replace(calm, channels=(VOLTAGE,), shares=(1.0,), deviation=300.0, continued=True)
    worse = replace(bad, end=calm.end + 3_600_000_000, severity=90.0, level="critical")
    yard.publish(0, calm)
    yard.publish(1, worse)
    yard.publish(2, an_incident(night=2))
    kept = judge(yard.runs, calm.incident_id, "true")
    assert (kept.level, kept.channels, kept.start) == ("critical", [VOLTAGE], calm.start)
    found = find_incident(yard.runs, calm.incident_id, manifests(yard.runs))
    assert (found.end, found.alarm_rows) == (worse.end, 2 * calm.alarm_rows)


def test_a_verdict_stays_with_an_incident_whose_start_moves(yard):
    """Under the id of the message it is found, and nobody is told of it under the new one."""
    yard.sinks(file={})
    early = an_incident(hour=22.0, hours=2.0)
    yard.publish(0, early)
    tell(yard.stage)
    judge(yard.runs, early.incident_id, "false")
    moved = an_incident(hour=21.5, hours=2.5)
    yard.publish(0, moved)
    tell(yard.stage)
    assert job(yard)["suppressed"] == {moved.incident_id: "judged as false"}
    yard.publish(0, early, an_incident("van-2", hour=8.0))
    (yard.runs / Feedback.FILE).unlink()
    tell(yard.stage)
    yard.publish(0, moved, an_incident("van-2", hour=8.0))
    tell(yard.stage)
    assert run(["feedback", early.incident_id, "planned"]) == 0
    assert list(read_feedback(yard.runs).incidents) == [moved.incident_id]


def test_a_verdict_on_a_small_part_hushes_nothing_of_the_whole(yard):
    """Later rows join two incidents: nobody has said anything of the longer one."""
    yard.sinks(file={})
    long, short = an_incident(hour=10.0, hours=3.0), an_incident(hour=14.0, hours=0.5)
    yard.publish(0, long, short)
    tell(yard.stage)
    judge(yard.runs, short.incident_id, "false")
    whole = an_incident(hour=10.0, hours=4.5, severity=80.0)
    yard.publish(0, whole)
    tell(yard.stage)
    assert job(yard)["suppressed"] == {}
    states = {(item["state"], item["part_of"]) for line in lines(yard)[1:]
              for item in line["incidents"]}  # fmt: skip
    assert states == {("over", None), ("withdrawn", whole.incident_id)}
    verdicts = Verdicts.of(read_feedback(yard.runs)).with_lessons(read_window(yard.runs, "1"))
    assert verdicts.by_id.keys() == {short.incident_id}
    assert run(["feedback", short.incident_id, "true"]) == 0
    assert whole.incident_id in read_feedback(yard.runs).incidents


def test_every_id_that_an_incident_ever_had_finds_it(yard, tmp_path, capsys):
    """Also of one that was over when its start moved, and of whose new id everybody was told."""
    yard.sinks(file={})
    first, second, third = (an_incident(hour=hour, hours=1.0) for hour in (7.2, 7.1, 7.0))
    other = an_incident("van-2", hour=8.0)
    for item in (first, second, third):
        yard.publish(0, item, other)
        tell(yard.stage)
    assert [line["incidents"][0]["replaces"] for line in lines(yard)[-2:]] == [
        first.incident_id, second.incident_id,
    ]  # fmt: skip
    file = tmp_path / "verdicts.csv"
    file.write_text(f"incident,verdict\n{third.incident_id},TRUE\n{first.incident_id},false\n")
    assert run(["feedback", "--csv", str(file)]) == 2, "both are on one incident"
    told = capsys.readouterr().err
    assert f"line 3: {first.incident_id} is now incident {third.incident_id}, which" in told
    assert read_feedback(yard.runs).incidents == {}
    for number, item in enumerate((first, second, third)):
        assert run(["feedback", item.incident_id, "true", "--note", f"note {number}"]) == 0
        assert f"{third.incident_id}  true     van-1" in capsys.readouterr().out
        file.write_text(f"incident,verdict\n{item.incident_id},false\n{other.incident_id},true\n")
        assert run(["feedback", "--csv", str(file)]) == 0
        assert list(read_feedback(yard.runs).incidents) == [third.incident_id, other.incident_id]
    yard.publish(0, first, third, other)  # one of that id is there again, and is another one
    assert run(["feedback", first.incident_id, "planned"]) == 0
    found = read_feedback(yard.runs).incidents
    assert (found[first.incident_id].verdict, found[third.incident_id].verdict) == (
        "planned", "false",
    )  # fmt: skip


def test_tables_that_an_earlier_release_wrote_keep_no_verdict_back(yard, monkeypatch):
    """Version 1 scored both dates then, without columns of today; version 2 scored them since."""
    item = an_incident()
    then = pa.schema([field for field in partitions.INCIDENTS if "open" not in field.name])
    with monkeypatch.context() as patch:
        patch.setattr(partitions, "CONTRACT", partitions.CONTRACT - 1)
        patch.setattr(partitions, "INCIDENTS", then)
        yard.publish(0, item)
        yard.publish(1)
    with pytest.raises(DataError, match=f"amad score --date {DAY}"):
        judge(yard.runs, item.incident_id, "true")
    yard.publish(0, item, version="2")
    yard.publish(1, version="2")
    judge(yard.runs, item.incident_id, "true")
    assert list(read_feedback(yard.runs).incidents) == [item.incident_id]


def test_a_verdict_does_not_wait_for_ever_for_another_one(yard, monkeypatch, capsys):
    monkeypatch.setattr("amad.scores.feedback.LOCK_SECONDS", 0.01)
    yard.publish(0, an_incident())
    with FileLock(yard.runs / "feedback.lock"):
        assert run(["feedback", an_incident().incident_id, "true"]) == 4
    assert "feedback.lock is held by another process" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["20260110T070000-0000000000", "20260301T000000-aa", "nonsense"])
def test_an_incident_that_is_not_there_is_told(yard, name):
    yard.publish(0, an_incident())
    with pytest.raises(ConfigError, match="there is no incident"):
        judge(yard.runs, name, "true")


def test_a_damaged_file_of_feedback_tells_nobody_rather_than_everything(yard):
    yard.sinks(file={})
    yard.publish(0, an_incident())
    judge(yard.runs, an_incident().incident_id, "false")
    file = yard.runs / Feedback.FILE
    file.write_text(file.read_text().replace('"false"', '"true"'))
    with pytest.raises(NotifyError, match=r"feedback\.json is damaged.*bring back a backup"):
        tell(yard.stage)
    assert lines(yard) == []


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({}, True),
        ({"vehicles": ["van-*"], "types": ["level_shift"], "below": "critical"}, True),
        ({"vehicles": ["bus-*"]}, False),
        ({"channels": [COOLANT]}, False),
        ({"channels": ["Vehicle.[CS]*"]}, True),
        ({"types": ["drift"]}, False),
        ({"below": "high"}, False),
        ({"first": DAY, "last": DAY}, True),
        ({"first": DAY + timedelta(days=1)}, False),
        ({"last": DAY - timedelta(days=1)}, False),
    ],
)
def test_a_rule_holds_where_all_its_keys_do(rule, holds):
    """The speed has a third of the blame, so it must match too; the voltage has little."""
    incident = an_incident(channels={COOLANT: 0.6, SPEED: 0.3, VOLTAGE: 0.1})
    assert applies(Rule(reason="r", **rule), incident) is holds


@pytest.mark.parametrize(("rule", "holds"), [({}, True), ({"channels": [COOLANT]}, False)])
def test_a_rule_on_channels_leaves_incidents_without_channels(rule, holds):
    incident = replace(an_incident(), channels=(), shares=())
    assert applies(Rule(reason="r", **rule), incident) is holds


def test_rules_are_honoured_and_listed(yard, capsys):
    yard.sinks(file={}, suppress=[{"reason": "campaign", "vehicles": ["van-1", "van-2"]}])
    yard.publish(0, *(an_incident(f"van-{n}", hour=5 * n) for n in (1, 2, 3)))
    assert preview(yard.stage).not_told == "not told: 2 incidents, rule 'campaign'"
    tell(yard.stage)
    assert [line["incidents"][0]["vehicle"] for line in lines(yard)] == ["van-3"]
    assert "not told: 2 incidents, rule 'campaign'" in capsys.readouterr().err
    assert set(job(yard)["suppressed"].values()) == {"rule 'campaign'"}
    judge(yard.runs, an_incident("van-1", hour=5).incident_id, "true")
    tell(yard.stage)
    assert len(lines(yard)) == 2, "what a person says comes before a rule"
    yard.sinks(file={})
    tell(yard.stage)
    assert len(lines(yard)) == 3, "without the rule it is told"


def test_the_command_keeps_and_lists(yard, capsys):
    yard.publish(0, an_incident())
    name = an_incident().incident_id
    assert run(["feedback"]) == 0 and "none judged yet" in capsys.readouterr().out
    assert run(["feedback", name, "false", "--note", "a loose plug"]) == 0
    assert run(["feedback"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(f"{name}  false    van-1, high, level_shift, by ") == 2
    assert shown.count(": a loose plug") == 2 and "0 of 1 judged incident true" in shown
    for wrong in (["feedback", name], ["feedback", name, "perhaps"], ["feedback", "x", "true"]):
        assert run(wrong) == 2


GOOD = """incident,verdict,note
{0},false,"a loose plug, again"
{1},,
{2},planned,
"""


def test_a_csv_of_verdicts_is_kept_as_a_whole(yard, tmp_path, capsys):
    made = [an_incident(f"van-{n}", hour=n) for n in (1, 2, 3)]
    yard.publish(0, *made)
    file = tmp_path / "verdicts.csv"
    file.write_text("\ufeff" + GOOD.format(*(item.incident_id for item in made)), encoding="utf-8")
    assert run(["feedback", "--csv", str(file)]) == 0
    assert "2 verdicts kept" in capsys.readouterr().out
    found = read_feedback(yard.runs).incidents
    assert {found[i.incident_id].verdict for i in (made[0], made[2])} == {"false", "planned"}
    assert found[made[0].incident_id].note == "a loose plug, again" and len(found) == 2
    assert found[made[0].incident_id].margin == 3.0 and found[made[0].incident_id].shares
    assert run(["feedback", made[1].incident_id, "true", "--csv", str(file)]) == 2


@pytest.mark.parametrize(
    ("content", "words", "code"),
    [
        ("id,verdict\n", "has no column incident, or two of them; its first line must be", 3),
        ("", "has no column incident and verdict", 3),
        ("incident,verdict,note\n{0},perhaps,\n", "line 2: verdict 'perhaps'; accepted: true,", 3),
        ("incident,verdict,note\n{0},true,\n{0},false,\n", "line 3: {0} stands there twice", 3),
        ("incident,verdict,verdict\n{0},true,false\n", "has no column verdict, or two of them", 3),
        ('incident,verdict,note\n{0},TRUE,"a\n{0},false,b\n', "line 3: unexpected end of data", 3),
        ("incident,verdict,note\n,true,\n", "line 2: names no incident", 3),
        ("incident,verdict,note\n{0},true,a,b\n", "line 2: more cells than columns", 3),
        ("incident,verdict,note\n{0},true,\nx,true,\n", "line 3: there is no incident 'x'", 2),
    ],
)
def test_a_wrong_csv_names_its_line_and_keeps_nothing(yard, tmp_path, capsys, content, words, code):
    yard.publish(0, an_incident())
    name = an_incident().incident_id
    file = tmp_path / "verdicts.csv"
    file.write_text(content.format(name))
    assert run(["feedback", "--csv", str(file)]) == code
    told = capsys.readouterr().err
    assert words.format(name) in told and str(file) in told
    assert read_feedback(yard.runs).incidents == {}
    assert run(["feedback", "--csv", str(tmp_path / "none.csv")]) == 3
    assert f"there is no file {tmp_path / 'none.csv'}" in capsys.readouterr().err
    file.write_text("incident,verdict\nä,true\n", encoding="latin-1")
    assert run(["feedback", "--csv", str(file)]) == 3
    assert "save it as CSV in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("verdict", ["false", "planned", "true"])
def test_a_judged_incident_that_is_not_found_any_more_is_told_only_if_it_was_true(yard, verdict):
    """A later run scored its date again; of one judged false or planned nobody is told that."""
    yard.sinks(file={})
    gone = an_incident(hour=8.0)
    yard.publish(0, gone)
    tell(yard.stage)
    judge(yard.runs, gone.incident_id, verdict)
    yard.publish(0)
    tell(yard.stage)
    states = ["new", "withdrawn"] if verdict == "true" else ["new"]
    assert [line["state"] for line in lines(yard)] == states


@pytest.mark.parametrize("verdict", ["false", "true"])
def test_a_notice_counts_no_earlier_date_whose_incident_was_none(yard, verdict):
    yard.sinks(file={})
    first = an_incident(hour=8.0)
    yard.publish(0, first)
    tell(yard.stage)
    judge(yard.runs, first.incident_id, verdict)
    yard.publish(1, an_incident(night=1, hour=8.0, severity=90.0))
    tell(yard.stage)
    (notice,) = (line for line in lines(yard) if line["level"] == "critical")
    again = any("had incidents on" in sentence for sentence in notice["sentences"])
    assert again is (verdict == "true")
