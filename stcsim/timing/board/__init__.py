"""One launch on a board: its engine, clock, power, and steady state."""
