"""The bytes of a raw file become clean rows, or are refused with a reason.

``readers`` is the way in: a file becomes a stream of batches (``batch``), unpacked, cut into lines,
these split into fields. ``rows`` reads vehicle, time and values of each batch.
"""
