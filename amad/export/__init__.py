"""Incidents and daily scores as rows of a database that other tools read."""
