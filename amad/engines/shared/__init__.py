"""What several stages need of an engine: MLflow, its store and registry, Ray, environment."""
