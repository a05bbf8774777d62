"""The scores of a vehicle-day; where scores, incidents and the logs of scoring jobs are on disk.

Where to look for what:

- scoring: ``daily`` (one vehicle-day), ``vehicle_days`` (the days of a vehicle), ``vehicle_state``
  (what a day leaves for the next)
- tables: ``partitions`` with ``partition_manifest``, ``retention`` (what may be removed)
- logs: ``job_log`` and ``step_log`` with ``run_log``; ``unscored`` (what is left to do),
  ``receipts`` (of stages)
- what people say: ``feedback``
"""
