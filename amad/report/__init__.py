"""The pages of a scoring run and of each scored date: HTML files that work offline."""

from amad.report.report_page import Report, build_report, join_archive

__all__ = ["Report", "build_report", "join_archive"]
