"""Training runs and models in MLflow."""
