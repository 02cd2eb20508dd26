"""What the service is asked and what it answers: request bodies, response models, strict JSON."""
