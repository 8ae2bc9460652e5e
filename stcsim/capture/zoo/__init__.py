"""Networks that transformers does not have, as small PyTorch modules written after their papers, for their shapes."""
