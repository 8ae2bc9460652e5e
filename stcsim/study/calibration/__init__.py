"""Fitting physical parameters of a GPU to measured times."""
