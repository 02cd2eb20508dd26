"""The contract between training and serving: what cells, models and answers look like."""
