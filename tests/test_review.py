"""``amad review``: one source with the version's page, the artifact where the page was cut."""

import pytest
from evaluation_kit import evaluation_metrics, method_figures
from scoring_kit import FLEET

from amad.cli.__main__ import run
from amad.engines.register import review as module
from amad.engines.register.model_card import _blind_spots
from amad.engines.shared.model_registry import get_version
from amad.engines.shared.tracking import connect
from amad.evaluation.evaluation_metrics import FaultFigures


@pytest.mark.slow
def test_a_version_is_reviewed_by_its_own_card(place, monkeypatch, capsys):
    _, settings = place
    monkeypatch.setenv("AMAD_HOME", str(settings.home))
    (settings.home / "params.yaml").write_text(f"fleets: [{FLEET}]\n", encoding="utf-8")
    assert run(["review"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# amad-nights version 1 (@challenger, @champion)\n")
    told = ("## Gate\n- vus_pr over", "bootstrap interval", "vehicle-day", "\n## Promotion\nCh")
    for wanted in (*told, "\n## Data\n", "\n## Blind spots\n", "\n## Limits\n"):
        assert wanted in text, wanted
    assert "## Calling it" not in text and "## Lineage" not in text
    assert run(["review", "1"]) == 0
    assert capsys.readouterr().out == text

    client = connect(settings)
    description = get_version(client, FLEET, "1").description
    whole = module._sections(description)
    for name in ("Data", "Quality", "Operating point", "Blind spots", "Limits"):
        assert whole[name] in text
    tail = description[description.index("## Promotion") :]
    client.update_model_version(
        "amad-nights", "1", f"{description[:300]}\n\n{module.CLIPPED}\n\n{tail}"
    )
    assert run(["review"]) == 0
    assert capsys.readouterr().out == text

    assert run(["review", "7"]) == 4
    assert "has no version 7" in capsys.readouterr().err


def test_blind_spots_are_the_types_that_are_missed_more_often_than_not():
    def figures(found: int) -> FaultFigures:
        return FaultFigures(
            events=8, events_found=found, event_recall=found / 8, median_delay_seconds=None,
            strengths={}, methods={},
        )  # fmt: skip

    methods = {"amad": method_figures([0.5]), "random": method_figures([0.1])}
    metrics = evaluation_metrics(methods)
    typed = {"drift": figures(3), "noise": figures(0), "spike": figures(4)}
    text = _blind_spots(metrics.model_copy(update={"by_fault": typed}))
    assert text.splitlines() == [
        "## Blind spots",
        "- `noise`: 0 of 8 known faults found",
        "- `drift`: 3 of 8 known faults found",
        "- at least half are found of: `spike`",
    ]
    assert _blind_spots(metrics).splitlines()[1:] == [
        "- 2 of 12 known events are missed in the offline form; their types are not known"
    ]
    whole = evaluation_metrics(methods, point={"events": 12, "events_found": 12})
    assert _blind_spots(whole).splitlines()[1:] == [
        "- none of 12 known events is missed in the offline form"
    ]
    none = evaluation_metrics(methods, point={"events": 0, "events_found": 0})
    assert _blind_spots(none).splitlines()[1:] == ["- the test part holds no known event"]
