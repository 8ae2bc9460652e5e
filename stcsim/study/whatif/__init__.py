"""Questions about one GPU and one network: which of its numbers matter, and which change would reach a target."""
