"""A first fleet file, drafted from raw files for ``amad init``.

``build.draft`` looks at a bounded sample of the files with the code that ingest reads with, and
guesses how times, vehicles and channels are written. It marks what is a guess.
"""
