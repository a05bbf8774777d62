"""Methods for comparison, all but the floor and the criterion with the detector's evidence chain.

Where to look for what:

- ``registry`` names them
- without training: ``floor``, ``raw``, ``mahalanobis``, ``pca``, ``knn``, ``kmeans``
- networks: ``network`` (what they share), ``cnn``, ``transformer``, ``latad`` with
  ``latad_network`` and ``latad_masks``
- AMAD otherwise: ``untrained``, ``criterion`` (of the papers)
"""

from amad.baselines.registry import baseline_names, make_baseline

__all__ = ["baseline_names", "make_baseline"]
