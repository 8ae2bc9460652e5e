"""Files of weights: read without unpickling, memory-mapped, and seen through the layouts that compress them.

Exports ``open_checkpoint``, ``Checkpoint`` and ``StoredTensor``.
"""

from stcsim.checkpoint.open import Checkpoint, open_checkpoint
from stcsim.checkpoint.stored import StoredTensor

__all__ = ["Checkpoint", "StoredTensor", "open_checkpoint"]
