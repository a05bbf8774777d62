"""Environment variables that keep the engines quiet: no telemetry, no spinning threads."""

import os

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "DVC_NO_ANALYTICS": "1",
    "DVC_STUDIO_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "OMP_WAIT_POLICY": "passive",  # spinning threads are 20 times slower beside another process
    "GIT_PYTHON_REFRESH": "quiet",
}


def quiet() -> None:
    """Set the variables above where they are not set; call before an engine is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
