"""Replay of networks and single GEMMs.

``schedule`` says which kernels a network launches and in which order, ``residency`` what each finds in L2, ``layer_rules`` what
the user asked of single layers, ``choice`` which side each layer runs and at which clock, ``savings`` what pruning brings, and
``rows``, ``totals`` and ``timed`` put it together.
"""

from stcsim.replay.choice import Progress
from stcsim.replay.intervals import bars
from stcsim.replay.layer_rules import LayerRules
from stcsim.replay.network import gemm, rerun, run
from stcsim.replay.problem import modes_of, problem_of, sparsity_of, why_not_sparse, why_not_taken

__all__ = [
    "LayerRules",
    "Progress",
    "bars",
    "gemm",
    "modes_of",
    "problem_of",
    "rerun",
    "run",
    "sparsity_of",
    "why_not_sparse",
    "why_not_taken",
]
