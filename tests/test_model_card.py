"""Sentences of the model card that do not need a registry."""

import pytest
from evaluation_kit import evaluation_metrics, method_figures

from amad.config.fleet import Fleet
from amad.engines.register.model_card import PROMOTION, _found, _histories, _use, with_promotion


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([9000, 2000], "each vehicle has at least 2,000 train rows and"),
        ([9000, 1999, 59, 0], "of 4 vehicles, 1 with fewer than 2,000 train rows are judged in"),
        ([9000, 1999, 59, 0], ", and 2 with fewer than 60 are judged by their class alone"),
        ([9000, 59], "of 2 vehicles, 1 with fewer than 60 are judged by their class alone"),
    ],
)
def test_it_says_how_many_vehicles_are_little_known(rows: list[int], words: str) -> None:
    assert words in _histories(rows, [2000] * len(rows))


def test_it_says_what_a_long_history_is_in_each_class() -> None:
    told = _histories([9000, 7000], [2000, 6000])
    assert (
        "has at least the train rows that its class asks for (2,000 to 6,000) and is known" in told
    )


def test_the_operating_point_is_told_in_sentences() -> None:
    methods = {"amad": method_figures([0.5]), "random": method_figures([0.1])}
    point = {"lookahead_seconds": 47_100.0, "median_delay_rows": 12.0, "median_delay_seconds": 3600}
    found = _found(evaluation_metrics(methods, point=point).operating_point)
    assert found == [
        "- known events found: 10 of 12; as many alarms at random times would find 0.6",
        "- half of those found are found within 12 rows of their first one (1 h)",
        "- these figures, and those of Quality, are of the offline form: the test part is "
        "scored as one series, and a score depends on up to 13 h 5 min after its row. A "
        "scheduled job scores each date by itself and waits for nothing: the last 13 h 5 min of "
        "a date see less and mostly score lower, so it may find fewer events, or find them "
        "later. With detect.smoothing: trailing both see the same",
    ]
    at_once = evaluation_metrics(methods, point={"median_delay_rows": 0.0}).operating_point
    assert _found(at_once)[1] == "- half of those found are found with their first row"
    empty = {"events": 0, "events_found": 0, "median_delay_rows": None, "lookahead_seconds": 0.0}
    assert _found(evaluation_metrics(methods, point=empty).operating_point) == []


def test_a_card_keeps_what_the_fleet_is_when_its_first_section_is_written_anew() -> None:
    channels = [{"name": "speed"}]
    source = {"format": "csv", "files": [{"glob": "*.csv"}]}
    fleet = Fleet(name="kit", description="Pumps of a port", channels=channels, source=source)
    card = f"# Detector\n\n{PROMOTION}\n- refused\n\n{_use(fleet)}\n\n## Data\n- rows\n"
    new = with_promotion(card, ["promoted"], "Champion since today")
    assert new == card.replace("- refused", "Champion since today\n\n- promoted")
    assert "Pumps of a port" in new
