"""Which versions of which models the service answers with: following aliases, swapping, going back, shadows."""
