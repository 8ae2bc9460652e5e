"""Studies: a grid of GPUs, networks and options, each cell simulated once and kept by what decides its answer."""
