"""The network, how it is fitted, and what it says of each gene."""
