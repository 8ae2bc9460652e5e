"""Does the shell get what can stand at the cursor?"""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from stcsim.arch import arch_names
from stcsim.cli import completion
from stcsim.trace import trace_names
from stcsim.words import Format


def test_names_are_completed_in_any_case() -> None:
    assert completion.archs("") == arch_names() and completion.traces("") == trace_names()
    assert completion.archs("h1") == ["h100", "h100-pcie"] and completion.archs("RTX4") == ["RTX4070s", "RTX4090"]
    assert completion.traces("resnet34-1") == ["resnet34-1280x800"] and completion.traces("no such") == []


def test_lists_are_completed_word_by_word() -> None:
    assert completion.several_archs("a100,h1") == ["a100,h100", "a100,h100-pcie"]
    assert "a100,a100" not in completion.several_archs("a100,a") and "a100,a10" in completion.several_archs("a100,a")
    assert completion.several_dtypes("fp16,b") == ["fp16,bf16"]


def test_values_of_a_gpu_are_completed_up_to_the_equals_sign() -> None:
    assert completion.settings("l2.cap") == ["l2.capacity_mib="] and completion.settings("l2.capacity_mib=") == []
    assert "tensor_core.fma_per_clk_per_sm.fp16=" in completion.settings("tensor_core.fma")
    assert completion.settings("nam") == []  # no value, a name


def test_kernels_are_those_of_the_gpu_on_the_line() -> None:
    def line(**given: object) -> SimpleNamespace:
        return SimpleNamespace(params=given)

    assert completion.kernels(line(), "se") == ["search"] and completion.kernels(line(), "heu") == ["heuristic"]
    assert completion.kernels(line(arch="T4"), "sm")[0].startswith("sm75_")
    assert all(name.startswith("sm80_sp_") for name in completion.kernels(line(arch="a100", dtype="int8"), "sm80_sp"))
    assert completion.kernels(line(arch="nowhere.yaml"), "sm") == []


def test_words_and_studies_are_completed() -> None:
    assert completion.of(Format)("") == ["table", "json", "csv", "markdown"] and completion.of(Format)("m") == ["markdown"]
    assert completion.studies("resnet34-b") == ["resnet34-batch"] and "resnet34" in completion.networks("resnet")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stcsim ru", ["run"]),
        ("stcsim run vgg", ["vgg16"]),
        ("stcsim run vgg16 --arch l40", ["l40s"]),
        ("stcsim run vgg16 --arch a100 --set dram.cap", ["dram.capacity_gib="]),
        ("stcsim curve vgg16 --arch a100,t", ["a100,t4"]),
        ("stcsim gemm 64 64 64 --arch a100 --dtype b", ["bf16"]),
        ("stcsim arch --format c", ["csv"]),
    ],
)
def test_a_shell_is_answered(line: str, words: list[str]) -> None:
    count = len(line.split())
    environment = {**os.environ, "_STCSIM_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(count - 1)}
    shell = subprocess.run([sys.executable, "-m", "stcsim"], env=environment, capture_output=True, text=True, check=True)
    assert shell.stdout.split() == words
