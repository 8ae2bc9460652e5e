"""Runs held against each other: one network on several GPUs and in several types, or saved results and why they differ."""
