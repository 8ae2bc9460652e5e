"""From a problem and a kernel to a plan: tiles, their order, their bytes and ticks."""
