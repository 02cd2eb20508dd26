"""Tables of calls: called cells, new populations, and where scanpy keeps markers."""
