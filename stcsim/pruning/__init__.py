"""Checkpoints pruned: what stays of each weight, channels permuted first, written again in the same form.

Exports ``prune_checkpoint``, ``PruneReport`` and ``PrunedWeight``.
"""

from stcsim.pruning.result import PrunedWeight, PruneReport
from stcsim.pruning.run import prune_checkpoint

__all__ = ["PruneReport", "PrunedWeight", "prune_checkpoint"]
