"""The register stage: versions in MLflow, the promotion gate, who is champion."""
