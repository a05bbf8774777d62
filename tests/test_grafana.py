"""The dashboard of infra/grafana: each query runs on the exported tables of a real PostgreSQL."""

import json
import re
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import yaml
from notify_kit import DAY, SPEED, Yard, an_incident
from report_kit import judge

from amad.export.database import address_of
from amad.export.export import export
from amad.notify import metrics

GRAFANA = Path(__file__).resolve().parent.parent / "infra" / "grafana"
DASHBOARD = json.loads((GRAFANA / "amad.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = {
    f"{panel['title']} {target['refId']}": target for panel in PANELS for target in panel["targets"]
}
SQL = {name: target["rawSql"] for name, target in TARGETS.items() if "rawSql" in target}
WIDTH = 24


@pytest.fixture(scope="module")
def database(database_server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tables of a fleet with a cause that goes on, one that is over, and one withdrawn.

    The one that goes on is of the whole fleet. A worse one, which goes on too, was judged false.
    """
    yard = Yard(tmp_path_factory.mktemp("grafana") / "home")
    address = database_server.database("grafana")
    gone = an_incident("van-3", 0, 12.0)
    yard.publish(0, an_incident("van-1", 0), gone)
    export(yard.stage, address_of(address))
    yard.publish(0, an_incident("van-1", 0))
    roll_out = {"van-2": 80.0, "van-3": 60.0, "van-4": 30.0}
    known = an_incident("van-1", 1, 18.0, 6.0, severity=90.0, channels={SPEED: 1.0})
    found = [an_incident(van, 1, 23.5, severity=s) for van, s in roll_out.items()]
    yard.publish(1, *found, known)
    judge(yard.runs, known.incident_id, "false")
    export(yard.stage, address_of(address))
    return address


def as_grafana_asks(query: str) -> str:
    """The query with Grafana's macros and the variable filled in."""
    last = DAY + timedelta(days=2)
    query = re.sub(r"\$__timeFilter\(([^)]+)\)", rf"\1 BETWEEN '{DAY}' AND '{last}'", query)
    query = query.replace("${fleet:sqlstring}", "'kit'")
    assert "$" not in query, query
    return query


def rows(database: str, query: str) -> list[dict]:
    with psycopg.connect(database, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(as_grafana_asks(query)).fetchall()


@pytest.mark.parametrize("name", SQL)
def test_each_query_gives_rows(name: str, database: str):
    found = rows(database, SQL[name])
    assert found
    if TARGETS[name]["format"] == "time_series":
        assert next(iter(found[0])) == "time" and found[0]["time"].tzinfo is not None


def test_the_figures_are_right(database: str):
    assert rows(database, SQL["Open causes A"]) == [{"open": 1}]
    assert rows(database, SQL["of them critical A"]) == [{"critical": 1}]
    first, second, last = rows(database, SQL["Causes, the worst first A"])
    assert first["cause"].startswith("Whole fleet: 3 of 4 vehicles at the same time, on Coolant")
    assert (first["vehicles"], first["incidents"], first["ongoing"]) == (3, 3, True)
    assert (first["level"], first["severity"]) == ("critical", 80)
    assert (second["cause"], second["incidents"]) == (
        "van-1: Coolant temperature; high", 1,
    )  # fmt: skip
    assert (last["level"], last["severity"], last["judged"]) == ("critical", 90, "false")
    all_ = rows(database, SQL["Incidents, the worst first A"])
    assert [row["vehicle"] for row in all_] == ["van-2", "van-3", "van-4", "van-1", "van-1"]
    assert [row["judged"] for row in all_] == [None] * 4 + ["false"]
    assert all_[3]["channels"] == "Vehicle.Coolant, Vehicle.Speed"
    assert {row["cause_id"] for row in all_[:3]} == {first["cause_id"]}
    assert [row["vehicle"] for row in rows(database, SQL["Withdrawn incidents A"])] == ["van-3"]
    per_day = rows(database, SQL["Causes per day A"])
    assert [(row["metric"], row["value"]) for row in per_day] == [("high", 1), ("critical", 2)]
    worst = rows(database, SQL["Vehicles, the worst first A"])
    assert [row["vehicle"] for row in worst[:2]] == ["van-2", "van-1"] and len(worst) == 4
    assert rows(database, DASHBOARD["templating"]["list"][0]["query"]) == [{"fleet": "kit"}]


def test_each_metric_is_one_that_a_job_exports():
    source = Path(metrics.__file__).read_text(encoding="utf-8")
    named = {
        name
        for target in TARGETS.values()
        for name in re.findall(r"\bamad_(\w+)", target.get("expr", ""))
    }
    assert len(named) > 8
    assert not [name for name in named if f'"{name}"' not in source]


def test_panels_lie_beside_each_other_and_read_what_is_provisioned():
    content = (GRAFANA / "provisioning" / "datasources" / "amad.yaml").read_text(encoding="utf-8")
    sources = {item["uid"]: item["type"] for item in yaml.safe_load(content)["datasources"]}
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        own = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not own & taken and at["x"] + at["w"] <= WIDTH, panel["title"]
        taken |= own
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for target in TARGETS.values():
        assert sources[target["datasource"]["uid"]] == target["datasource"]["type"]
    folder = GRAFANA / "provisioning" / "dashboards" / "amad.yaml"
    (provider,) = yaml.safe_load(folder.read_text(encoding="utf-8"))["providers"]
    assert provider["type"] == "file" and provider["options"]["path"]
