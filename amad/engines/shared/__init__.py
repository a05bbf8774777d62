"""What several stages share: MLflow, its store and registry, Ray, the environment."""
