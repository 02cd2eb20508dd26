"""What the running service says of itself: metrics, logs and traces."""
