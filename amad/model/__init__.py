"""AMAD: masks from a spectral kernel, local and global attention mixed, trained without labels.

Where to look for what:

- the network: ``network``, ``attention`` and ``views`` (the same on a CPU), ``kernel`` (AutoMask),
  ``skip`` (the linear prediction that its output is added to), ``owners`` (whose coefficients)
- training: ``training`` (the loop), ``batches``, ``masks`` (what is hidden), ``losses``,
  ``checkpoint``, ``compiled``, ``device_rows`` (the rows on a GPU)
- scoring: ``residual`` (the error of hidden values), ``bundle`` (the files of a trained network)
"""

from amad.model.bundle import Bundle, read_bundle, write_bundle
from amad.model.checkpoint import Checkpoint, LocalReporter
from amad.model.masks import complementary_masks, draw_mask
from amad.model.network import Amad
from amad.model.residual import hidden_residual
from amad.model.training import Trained, TrainJob, train

__all__ = [
    "Amad", "Bundle", "Checkpoint", "LocalReporter", "TrainJob", "Trained", "complementary_masks",
    "draw_mask", "hidden_residual", "read_bundle", "train", "write_bundle",
]  # fmt: skip
