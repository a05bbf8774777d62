"""From alarms to incidents: how far the channels of a vehicle stray, since when, and how bad it is.

Where to look for what:

- ``incident``: what an incident is, and the incidents of scored rows; ``wording`` tells one
- how far each channel strays: ``deviations``; which are blamed: ``blame``, ``root_cause``
- start and end: ``change_points``; how bad: ``severity``; the type: ``shapes``
- comparison with other vehicles: ``channel_levels`` and ``peers``
"""
