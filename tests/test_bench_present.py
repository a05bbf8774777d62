"""Whether a result was measured with the present detector is told by what the detector does."""

import pytest

from amad.config import load_params
from bench import present
from bench.present import OLDER, dated, detector_scores, is_older, origin


def test_a_result_of_the_present_detector_needs_no_remark() -> None:
    lines = ["# Title", "", "text"]
    assert dated(lines, origin()) == lines
    close = [score * (1 + 1e-5) for score in detector_scores()]  # another processor
    assert not is_older({"detector_scores": close})


def test_a_result_of_other_scores_or_of_none_says_so_below_its_title() -> None:
    other = [*detector_scores()[:-1], detector_scores()[-1] + 0.01]
    for result in ({}, {"detector_scores": other}, {"detector_scores": detector_scores()[:-1]}):
        assert dated(["# Title", "", "text"], result) == ["# Title", "", OLDER, "", "text"]


@pytest.mark.parametrize("changes", [{"widths": [5, 21]}, {"members": ["relation"]}])
def test_another_detector_gives_other_scores(
    changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = origin()

    def changed(*where: object):
        params = load_params(*where)
        return params.model_copy(update={"detect": params.detect.model_copy(update=changes)})

    monkeypatch.setattr(present, "load_params", changed)
    monkeypatch.setattr(present, "detector_scores", detector_scores.__wrapped__)
    assert is_older(before)


def test_the_rows_are_scored_with_both_forms_and_their_faults_alarm() -> None:
    scores = detector_scores()
    offline, online = scores[: len(scores) // 2], scores[len(scores) // 2 :]
    assert offline != online
    for form in (offline, online):
        offset, stuck = max(form[3:5]), max(form[10:13])
        assert min(offset, stuck) > 4 > 2 > max(form[0], form[1])
