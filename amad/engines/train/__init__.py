"""The train stage: training under Ray Train."""
