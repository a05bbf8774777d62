"""Scores, incidents and the logs of scoring jobs on disk: where they are, how they are written."""
