"""amad: anomaly detection for fleets of machines that report telemetry."""

__version__ = "0.1.0"
