"""The chapters of a training run that join several rooms."""
