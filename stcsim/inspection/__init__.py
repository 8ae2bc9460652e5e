"""What is in a checkpoint: which weights are 2:4 along which dimension, which could be, and what that would bring.

Exports ``inspect_checkpoint``, ``Inspection`` and ``Weight``; ``pruned_layers``, the layers of a trace that are 2:4 in a
checkpoint; and ``gains_of``, what that brings.
"""

from stcsim.inspection.gains import Gain, gains_of
from stcsim.inspection.look import Inspection, inspect_checkpoint
from stcsim.inspection.matching import Match, match_layers
from stcsim.inspection.pruned import match_pruned, pruned_layers
from stcsim.inspection.weights import State, Weight

__all__ = [
    "Gain",
    "Inspection",
    "Match",
    "State",
    "Weight",
    "gains_of",
    "inspect_checkpoint",
    "match_layers",
    "match_pruned",
    "pruned_layers",
]
