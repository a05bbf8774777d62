"""Detection: from residuals to scores, alarms and incidents; see docs/explanation/detector.md."""
