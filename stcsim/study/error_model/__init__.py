"""Building the model of the model's own error from measured tables, and checking it on others."""
