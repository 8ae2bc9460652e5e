"""Studies over many predictions: validation against measured tables."""
