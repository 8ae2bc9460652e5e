"""The same network at another size: batch, sequence lengths, image resolution."""
