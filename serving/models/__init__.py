"""Bundles from folders and from the MLflow registry: find, fetch, verify, promote."""
