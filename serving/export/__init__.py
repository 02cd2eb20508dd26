"""Calls in the formats of others."""
