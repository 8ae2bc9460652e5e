"""Modules whose forward pass a test writes as a function. Needs torch: import it after the test has asked for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn


class Runs(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """A module whose forward pass is a function of itself and its input."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Any) -> Any:
        return self.function(self, x)
