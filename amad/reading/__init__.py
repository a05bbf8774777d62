"""The bytes of a raw file become clean rows, or are refused with a reason.

``readers`` unpacks a file, cuts it into lines and fields, and yields batches (``batch``). ``rows``
then reads vehicle, time and values of each batch. Where to look for what:

- a format: ``csv_file``, ``json_file``, ``parquet_file`` with ``arrow_file``, ``line_protocol``;
  ``unpack`` for archives and compression
- text into fields: ``lines``, ``line_breaks``, ``layout`` (the header), ``scan`` (clean lines, by
  Arrow), ``fields`` (the others), ``cut_rows``
- columns: ``headers`` (their names), ``lacking`` (a file without some), ``long_rows`` (a signal per
  row), ``outside_class``, ``units``
- values: ``numbers``, ``codes`` (words)
- times: ``row_times`` (the rule of the fleet file), ``times`` and ``time_forms`` (text and numbers
  into times), ``clocks`` (times that follow from the order of the rows), ``day_sums``
- times that look wrong: ``day_month`` and ``date_line`` (day and month exchanged),
  ``timestamp_guess`` (what would read them)
- vehicles: ``vehicle_ids``, ``vehicle_spellings``
- ``rules``: the files that a fleet's files may be
"""
