"""How good a model is: metrics, cross-validation, calibration, novelty, label sets."""
