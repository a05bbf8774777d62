"""The only rooms that know Ray, MLflow or Great Expectations."""
