"""The manifest, section by section; the files beside it; how a folder is sealed and verified."""
