"""The core that both worlds share: how files become cells, what is checked, what a bundle holds, what an error says."""
