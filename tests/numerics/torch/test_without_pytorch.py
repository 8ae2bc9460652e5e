"""What does the room of PyTorch say where PyTorch is not installed? (This runs with and without it.)"""

from __future__ import annotations

import re
import sys

import pytest

from stcsim.errors import StcsimError


def test_without_pytorch_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("stcsim.numerics.torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("stcsim.numerics.torch", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = "stcsim.numerics.torch: expected PyTorch (pip install 'stcsim[torch]'), found none"
    with pytest.raises(StcsimError, match=re.escape(message)):
        from stcsim.numerics import torch as _  # noqa: F401
