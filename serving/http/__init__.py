"""The HTTP service's routes, bodies, errors and settings."""
