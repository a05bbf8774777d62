"""The score stage: which dates to score, and scoring them here or on Ray."""
