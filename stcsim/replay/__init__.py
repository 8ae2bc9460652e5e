"""Replay of networks and single GEMMs.

``schedule`` says which kernels a network launches and in which order, ``residency`` what each finds in L2, ``layer_rules`` what
the user asked of single layers, ``sides`` which side is faster and at which clock, ``rows`` and ``totals`` put it together.
"""

from stcsim.replay.layer_rules import LayerRules
from stcsim.replay.network import gemm, rerun, run
from stcsim.replay.problem import modes_of, problem_of, why_not_sparse
from stcsim.replay.sides import Progress

__all__ = ["LayerRules", "Progress", "gemm", "modes_of", "problem_of", "rerun", "run", "why_not_sparse"]
