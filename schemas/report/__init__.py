"""From a bundle's facts to the two texts for people, `report.html` and `MODEL_CARD.md`: both worlds write the same."""
