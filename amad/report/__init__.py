"""The page of a scoring run: one HTML file that works offline."""

from amad.report.report_page import Report, build_report

__all__ = ["Report", "build_report"]
