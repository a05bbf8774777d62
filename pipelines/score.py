"""python -m pipelines.score

The champion scores every date that is new: runs/<fleet>/scores, runs/<fleet>/incidents and the
receipt data/<fleet>/scoring.json, which lists what is published of each date.
"""

from amad.config import Params, Settings, Stage
from amad.engines.score.score_stage import score
from amad.engines.score.scoring_plan import EVERYTHING_NEW, ScoringRequest
from amad.scores.receipts import ScoringReceipt
from pipelines import follows_storage, stage_main


@follows_storage("score")
def run(
    params: Params, settings: Settings, request: ScoringRequest = EVERYTHING_NEW
) -> ScoringReceipt:
    """Score what is asked for and return the receipt; see ``score`` for the errors."""
    return score(Stage.of(params, settings), request)


if __name__ == "__main__":
    stage_main(run, lasting="scoring.json")
