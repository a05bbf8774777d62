"""The pages of a scoring run and of each scored date: HTML files that work offline.

Where to look for what:

- the page: ``report_page`` (puts all of it into the templates in ``page``), ``archive`` (pages of
  dates), ``report_result`` (what is said of it), ``glossary``
- what it is made from: ``scoring_run`` with ``score_rows``, ``evidence`` (of earlier stages),
  ``unread`` (files that cannot be read)
- its head: ``since_last`` (what is new), ``vehicle_trend``, ``fleet_overview``
- an incident: ``incident_entries``, ``incident_plot`` with ``svg_plots``, ``days_before``,
  ``usual_context``, ``verdicts`` (what people said)
- whether to trust it: ``trust_cards``, ``promise`` (alarms beside the budget), ``blind_spots``
"""

from amad.report.report_page import Report, build_report, join_archive

__all__ = ["Report", "build_report", "join_archive"]
