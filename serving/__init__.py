"""A bundle names new cells and shows the genes behind each call."""
