"""A first fleet file from raw files: what they are, when and of whom, and what they measure.

``build.draft`` is the way in. Everything is judged on a bounded sample, read by the same code that
ingest reads with; what is a guess is marked as one.
"""
