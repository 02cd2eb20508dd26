"""How much the service takes on, for how long, and how it ends: room, turns, rates, deadlines, folders, shutdown."""
