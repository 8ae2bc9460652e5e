"""What does capture say before PyTorch is needed, and where it is not installed?"""

from __future__ import annotations

import subprocess
import sys

import pytest

from stcsim.capture import capture, network_names
from stcsim.errors import StcsimError, TraceError

NAMES = ["resnet34", "resnet50", "bert-base", "llama-3-8b-prefill", "llama-3-8b-decode"]


def test_names_need_no_torch() -> None:
    code = f"""
import sys
from stcsim.capture import network_names
print(set({NAMES}) <= set(network_names()), "torch" in sys.modules)
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "True False"


def test_an_unknown_network() -> None:
    with pytest.raises(TraceError) as refused:
        capture("resnet43")
    known, found = ", ".join(network_names()), "'resnet43' (did you mean 'resnet34'?)"
    assert refused.value.expected == f"one of {known}, module:factory, or transformers:model"
    assert str(refused.value).startswith("capture: expected one of resnet18, ") and str(refused.value).endswith(
        f", found {found}"
    )


def test_an_unknown_type() -> None:
    with pytest.raises(StcsimError, match="dtype: expected one of fp16, .* found 'fp15'"):
        capture("resnet34", dtype="fp15")


@pytest.mark.parametrize("name", ["resnet34", "mine:Net", "transformers:gpt2"])
def test_without_torch(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    sentence = r"^stcsim capture: expected PyTorch to run the model code \(install stcsim\[torch\]\), found none$"
    with pytest.raises(TraceError, match=sentence):
        capture(name, input_shape=(3, 8, 8))


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="torch is not installed (pip install stcsim[torch])")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TraceError, match="^stcsim capture: expected transformers to run the model code"):
        capture("resnet34")
