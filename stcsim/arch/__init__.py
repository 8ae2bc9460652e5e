"""Described GPUs: what an architecture file holds, and how files are stacked."""

from stcsim.arch.arch import Arch, ArchOrName, Leaf, Source, arch_from_dict, arch_names, load_arch, unit_of

__all__ = ["Arch", "ArchOrName", "Leaf", "Source", "arch_from_dict", "arch_names", "load_arch", "unit_of"]
