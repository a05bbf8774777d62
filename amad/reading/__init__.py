"""The bytes of a raw file become clean rows, or are refused with a reason.

``readers`` unpacks a file, cuts it into lines and fields, and yields batches (``batch``). ``rows``
then reads vehicle, time and values of each batch.
"""
