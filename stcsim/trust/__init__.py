"""How far an answer may be trusted: the model of the model's own error, and the verdict that follows."""
