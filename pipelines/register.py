"""python -m pipelines.register

Register the detector in MLflow as @challenger; the gate may make it @champion:
data/<fleet>/receipt.json. The same detector and data registered again is the same version.
"""

from amad.config import Params, Settings, Stage
from amad.config.console import say
from amad.engines.register.registration import register
from amad.scores.receipts import RegistrationReceipt
from pipelines import follows_storage, stage_main


@follows_storage("register")
def run(params: Params, settings: Settings) -> RegistrationReceipt:
    """Register, decide, promote; return the receipt.

    Raises:
        DataError: an earlier stage has not run.
        ServiceError: the tracking store does not answer.
    """
    stage = Stage.of(params, settings)
    receipt = register(stage)
    for reason in receipt.reasons:
        say(f"gate: {reason}")
    receipt.write(stage.folder)
    return receipt


if __name__ == "__main__":
    stage_main(run, lasting="receipt.json")
