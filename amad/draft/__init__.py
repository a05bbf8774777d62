"""A first fleet file, drafted from raw files for ``amad init``.

``build`` looks at a bounded sample of the files with the code that ingest reads with, guesses how
times, vehicles and channels are written, and tries the guess (``trial``). It marks what is a guess.
Where to look for what:

- the steps: ``build``, ``plan`` (what is known so far), ``trial``, ``write`` with ``yaml_text``
- which files: ``listing``, ``sample`` with ``excerpt``, ``file_names``, ``alike`` (those that one
  fleet file can read), ``globs``, ``foreign_text`` (no tables)
- how text is written: ``dialect``, ``marks`` (decimals and thousands), ``fractions``
- times: ``clock`` and ``clock_rule``, ``time_cells``, ``two_columns``, ``date_order``, ``zones``,
  ``undated`` with ``starts`` (times without a date), ``unread_times``
- vehicles: ``vehicles``, ``turns`` (channels that only seem to name some), ``classes``
- channels: ``columns``, ``channels`` (unit, kind, range), ``figures`` (period and limits),
  ``state_words``, ``later``, ``other_scale``, ``labels``; long files: ``long_columns``,
  ``long_names``
"""
