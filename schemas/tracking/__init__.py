"""Where MLflow is, how to reach it, and which tags it carries."""
