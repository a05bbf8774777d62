"""The members of the detector, which predict each channel of each row.

Where to look for what: ``member`` (what a member is; ridge and network), ``innovation``,
``relation`` with ``products`` and ``tolerance``, ``window_range``; ``build`` makes them by name.
"""
