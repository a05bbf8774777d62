"""The scores of a vehicle-day; where scores, incidents and the logs of scoring jobs are on disk."""
