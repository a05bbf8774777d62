"""What kind of vehicle a window is from, and what it is doing: added to every token of the window.

Shape legend: B windows, L steps, C channels, D model width, V levels, M modes.
"""

import torch
from torch import Tensor, nn

from amad.model.levels import FLEET, Levels

MODES = 8


class Context(nn.Module):
    """Vehicle class and operating mode as one vector a window, (B, D).

    *Class*: a learned embedding of the level's class; none (zero) for a class never seen.
    *Mode*: mean and spread of the visible values of each channel over the window, and the share of
    it that is visible, go through a linear map to a soft assignment to MODES learned modes. What is
    hidden has no part in it. Both embeddings start at zero: the network starts without a context.
    """

    class_V: Tensor

    def __init__(self, channels: int, width: int, levels: Levels) -> None:
        super().__init__()
        self.register_buffer("class_V", torch.tensor(levels.class_numbers()), persistent=False)
        self.kind = nn.Embedding(1 + len(levels.classes), width, padding_idx=FLEET)
        self.assign = nn.Linear(3 * channels, MODES)
        self.mode_MD = nn.Parameter(torch.zeros(MODES, width))
        nn.init.zeros_(self.kind.weight)

    def forward(self, value_BLC: Tensor, hidden_BLC: Tensor, level_B: Tensor) -> Tensor:
        """The context of each window; values where hidden do not matter."""
        seen_BLC = (~hidden_BLC).to(value_BLC.dtype)
        count_BC = seen_BLC.sum(1).clamp_min(1)
        mean_BC = (value_BLC * seen_BLC).sum(1) / count_BC
        square_BC = ((value_BLC - mean_BC[:, None]) * seen_BLC).square().sum(1) / count_BC
        summary_BX = torch.cat([mean_BC, (square_BC + 1e-6).sqrt(), seen_BLC.mean(1)], dim=-1)
        mode_BM = self.assign(summary_BX).softmax(-1)
        return self.kind(self.class_V[level_B]) + mode_BM @ self.mode_MD
