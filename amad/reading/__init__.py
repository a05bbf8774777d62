"""A raw file becomes a stream of batches: unpacked, cut into lines, these split into fields.

``readers.py`` is the way in; ``batch.py`` says what comes out.
"""
