"""The benchmark of how severity orders faults by their strength."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_bench_kinds import by_name

from bench import severity
from bench.kinds.fleets import write_fleet
from bench.tables import main as write_pages


@pytest.mark.slow
def test_severity_is_compared_with_strength_and_its_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [kind] = by_name("press")
    kind = replace(kind, vehicles=2, rows=4000, train_rows=2000, calm=50)
    file = write_fleet(kind, tmp_path / "raw", tmp_path)
    monkeypatch.setenv("AMAD_DATA_DIR", str(tmp_path / "raw"))
    report = severity.main([
        "--fleet", str(file), "--draws", "1", "--home", str(tmp_path / "home"),
        "--out", str(tmp_path / "severity.json"),
    ])  # fmt: skip
    assert not report["errors"]
    assert json.loads((tmp_path / "severity.json").read_text(encoding="utf-8")) == report
    own = report["fleets"]["press"]
    assert own["faults"] == sum(o["faults"] for o in own["by_type"].values()) > 50
    assert 0.2 < own["touched"] < 1
    for key in ("tau_b", "size_known"):
        assert 0 < own[key] < own["best_possible"] < 1
    assert own["tau_b"] < own["size_known"], "knowing the size helps"
    off = own["rows_off"]
    assert off["start"] < off["first alarm"] and off["end"] < off["last alarm"]
    (tmp_path / "reading.md").write_text("# Results\n")
    write_pages([
        "--results", str(tmp_path), "--reading", str(tmp_path / "reading.md"),
        "--out", str(tmp_path / "pages"),
    ])  # fmt: skip
    page = (tmp_path / "pages/severity.md").read_text(encoding="utf-8")
    assert f"| press | {own['faults']} | {own['touched']:.2f} | {own['tau_b']:.2f} |" in page
