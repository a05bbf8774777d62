"""Raw files into the lake: found, read, merged per vehicle-day; nothing is dropped silently.

Where to look for what:

- the run: ``ingestion``, ``reading_plan`` (which files), ``loading`` (the two passes), ``parts``
  with ``part_writer``, ``pending_change`` (all in one step)
- files: ``raw_files``, ``raw_objects`` (of an object store), ``escaped_names``,
  ``duplicate_files``, ``rolling_files``
- rows: ``spill`` (sorted into vehicle-days), ``merging``, ``late_rows``, ``clock_errors``,
  ``refused_rows``; ``events`` (the file of labels)
- what is remembered and told: ``origins`` (of which file a row is), ``firsts`` and
  ``later_channels`` (what begins in a file), ``lost_days``, ``lake_counts``
"""
