"""``train.json``: the result of a training, without times, so that it is the same every time."""

from typing import ClassVar

from pydantic import Field

from amad.telemetry.artifact import Artifact


class TrainResult(Artifact):
    """The figures of a training.

    digest: of all that the weights depend on. epochs: the metrics of each, see
    ``amad.model.training.train``. parameters: of the network. train_windows: how many there were.
    epoch_windows: how many of them each epoch drew, see ``train.max_windows``.
    run_id: of the training's run in MLflow; it is not in the file.
    """

    FILE: ClassVar[str] = "train.json"
    REMEDY: ClassVar[str] = "run 'amad train'"

    digest: str | None = None
    epochs: list[dict[str, int | float]]
    parameters: int = 0
    train_windows: int = 0
    epoch_windows: int = 0
    run_id: str = Field(default="", exclude=True)
