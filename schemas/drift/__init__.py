"""How cells differ from those that a model was tested on."""
