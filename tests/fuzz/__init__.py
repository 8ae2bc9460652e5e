"""Seeded damage for every kind of input: each case is a function of (kind, seed, index) alone, so any of them can be had again.

``python -m tests.fuzz --count 100000 --seed 11`` runs many, ``python -m tests.fuzz --kind traces --seed 11 --first 4711`` one.
"""
