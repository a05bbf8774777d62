"""The lake and what is known of it: its profile, its schemas, what is missing or was refused.

Where to look for what:

- tables: ``lake``, ``manifest``, ``schemas``; ``profile`` of its vehicle-days, ``valid_values``
- what is wrong with a fleet: ``health`` puts it together, ``trouble`` says what kinds there are;
  ``silence``, ``counter_events`` and ``counter_findings``, ``other_scale``, ``refusals`` and
  ``refused_files`` find it
- the results of stages: ``ingest_result``, ``validation``, ``judged_days``, ``kept_out``
- files: ``artifact`` (typed JSON), ``files`` (written whole, checked), ``checksums``, ``disk``
  (wherever they are), ``temporary``, ``holder`` (who works on a fleet)
"""
