"""The only folders that know Ray, MLflow, Great Expectations or Optuna: one for each stage."""
