"""The bundle's manifest, section by section, and the tables that it vouches for."""
