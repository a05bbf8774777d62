"""The tune stage: a sweep under Ray Tune."""
