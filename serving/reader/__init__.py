"""The separate process that reads untrusted files and can be killed."""
