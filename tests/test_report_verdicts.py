"""What people said stands in the report beside its incidents."""

import re

from report_kit import an_incident, judge, stage_of, write_data, write_fleet, write_run

from amad.report import archive, build_report
from amad.scores.feedback import Feedback


def test_verdicts_stand_beside_their_incidents_and_make_the_page_of_their_date_again(
    tmp_path, capsys
):
    fleet = write_fleet(tmp_path)
    settings = write_data(fleet, tmp_path, ["van-1"])
    made = [an_incident(fleet, "van-1", 1, 100 * n, 20, peak_score=5.5) for n in range(1, 6)]
    write_run(fleet, settings, {1: made})
    stage = stage_of(fleet, settings)
    page = build_report(stage).path.read_text(encoding="utf-8")
    assert page.count('data-incident="') == 5 and made[0].incident_id in page
    names = [item.incident_id for item in made]
    for name in names[:3]:
        judge(stage.runs, name, "false", "a <loose> plug")
    judge(stage.runs, names[3], "true")
    before = {
        day: archive.page_of(stage.runs, day).read_bytes()
        for day in build_report(stage, tmp_path / "other.html").dates
    }
    page = build_report(stage).path.read_text(encoding="utf-8")
    assert page.count("a &lt;loose&gt; plug") == 3 and page.count("judged false</span>") == 6
    assert "1 of 4 judged incidents true so far (25 %)" in page
    like = ", ".join(sorted(names[:3]))
    words = "Nobody is told: it is hardly stronger, and no longer, than 3 incidents judged false on"
    assert words not in page, "one as weak was judged true"
    judge(stage.runs, names[3], "planned")
    page = build_report(stage).path.read_text(encoding="utf-8")
    assert f"{words} this vehicle and much the same channels: {like}" in page
    assert "; 1 planned; of 1 incident nobody is told" in page
    first, second = (archive.page_of(stage.runs, day) for day in sorted(before))
    assert first.read_bytes() == before[min(before)]
    assert b"judged false</span>" in second.read_bytes() != before[max(before)]
    file = stage.runs / Feedback.FILE
    file.write_text(file.read_text().replace('"planned"', '"true"'))
    page = build_report(stage).path.read_text(encoding="utf-8")
    assert "judged false</span>" not in page
    assert "the report does without what cannot be read" in capsys.readouterr().err


def test_the_headline_names_the_worst_incident_that_counts_and_says_how_many_were_judged(tmp_path):
    fleet = write_fleet(tmp_path)
    settings = write_data(fleet, tmp_path, ["van-1"])
    told = {"severity": 30.0, "type": "stuck"}
    worst = an_incident(fleet, "van-1", 1, 100, 20, severity=90.0, type="first_move")
    second = an_incident(fleet, "van-1", 1, 200, 20, **told)
    write_run(fleet, settings, {1: [worst, second]})
    stage = stage_of(fleet, settings)

    def head() -> str:
        page = build_report(stage).path.read_text(encoding="utf-8")
        return page[page.index("<h1>") : page.index('<ul class="tiles"')]

    assert "van-1</a>, first move" in head() and "Counted here" not in head()
    page_of_date = archive.page_of(stage.runs, build_report(stage).dates[-1])
    assert archive.read_facts(page_of_date).critical == 1
    judge(stage.runs, worst.incident_id, "false")
    assert "van-1</a>, stuck" in head() and "first move" not in head()
    aside = "Counted here, but not named as the worst: 1 incident judged as false"
    assert f"{aside}." in head() and archive.read_facts(page_of_date).critical == 0
    judge(stage.runs, second.incident_id, "planned")
    assert "Worst" not in head() and f"{aside}, 1 incident judged as planned." in head()
    judge(stage.runs, worst.incident_id, "true")
    assert "van-1</a>, first move" in head()


def test_the_tables_of_vehicles_pass_over_what_was_judged(tmp_path):
    fleet = write_fleet(tmp_path)
    settings = write_data(fleet, tmp_path, ["van-1", "van-2"])
    worst = an_incident(fleet, "van-1", 1, 100, 20, severity=90.0)
    second = an_incident(fleet, "van-2", 1, 200, 20, severity=30.0)
    write_run(fleet, settings, {1: [worst, second]})
    stage = stage_of(fleet, settings)

    def vehicles(section: str) -> list[str]:
        page = build_report(stage).path.read_text(encoding="utf-8")
        rows = page.split(f'<section aria-labelledby="{section}">')[1].split("</section>")[0]
        return re.findall(r'role="rowheader">(van-\d)', rows)

    assert vehicles("worst") == vehicles("fleet") == ["van-1", "van-2"]
    judge(stage.runs, worst.incident_id, "false")
    assert vehicles("worst") == ["van-2"] and vehicles("fleet") == ["van-2", "van-1"]
