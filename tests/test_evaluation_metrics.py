"""``evaluation/metrics.json`` as a typed value: what is written is what is read."""

import json

import pytest
from evaluation_kit import evaluation_metrics, method_figures

from amad.config import DataError
from amad.evaluation.evaluation_metrics import EvaluationMetrics, Hits, Localisation

METHODS = {"amad": method_figures([0.6, 0.123456789]), "random": method_figures([0.1, 0.2])}


def test_what_is_written_is_read_again(tmp_path):
    hits = {"hit_rate_100": 0.5, "hit_rate_150": 1.0}
    every = Localisation(**hits, ndcg_100=0.5, ndcg_150=0.5, events=3, of_those_found=Hits(**hits))
    metrics = evaluation_metrics(METHODS, localisation={"amad": every, "chance": Hits(**hits)})
    metrics.write(tmp_path)
    found = EvaluationMetrics.require(tmp_path)
    assert found == metrics and found.content() == metrics.content()
    assert isinstance(found.localisation["amad"], Localisation)
    assert found.content()["localisation"]["chance"] == hits
    assert found.ours.per_unit["v1"] == {"vus_pr": 0.123457}
    assert found.units_text == "2 vehicles"


def test_figures_of_an_older_version_name_the_key_and_the_way_out(tmp_path):
    evaluation_metrics(METHODS).write(tmp_path)
    path = tmp_path / EvaluationMetrics.FILE
    content = {key: value for key, value in json.loads(path.read_text()).items() if key != "seal"}
    rate = content["operating_point"]["normal_test"]
    rate["incidents_a_vehicle_day"] = rate.pop("incidents_per_vehicle_day")
    path.write_text(json.dumps(content))
    key = "operating_point.normal_test.incidents_per_vehicle_day"
    with pytest.raises(DataError, match=rf"it has no {key}\); run 'amad evaluate'"):
        EvaluationMetrics.require(tmp_path)
