"""The detector on simulated fleets of kinds on which nothing was settled."""
