"""Tables of GEMMs and convolutions: how their text is split, what their columns mean, how equal lines become one operation."""
