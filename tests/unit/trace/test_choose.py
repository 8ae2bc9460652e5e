"""Which layers does a word mean, for --keep-dense, --dtype-of and --layers alike?"""

from __future__ import annotations

import pytest

from stcsim.errors import UnsupportedError
from stcsim.trace.choose import EXPECTED, chosen
from tests.unit.small_networks import network, square, step

OPS = network(
    square("stem"),
    step("relu", "relu", "stem", into="stem"),
    square("block.0.fc", "relu"),
    square("scores", "block.0.fc").changed(weight_operand=None),
    square("block.1.fc", "scores"),
    square("head", "block.1.fc"),
).ops
LAYERS = [op for op in OPS if op.kind != "memory"]
WEIGHTED = [op for op in LAYERS if op.weight_elements]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("head", ["head"]),
        ("block.*", ["block.0.fc", "block.1.fc"]),
        ("first", ["stem"]),
        ("last", ["head"]),
        ("2", ["block.0.fc"]),
        ("2-4", ["block.0.fc", "scores", "block.1.fc"]),
        ("4-99", ["block.1.fc", "head"]),
        ("first, 4,block.1*", ["stem", "block.1.fc"]),
    ],
)
def test_a_word_stands_for_layers(words: str, names: list[str]) -> None:
    assert chosen(OPS, words, "layers", LAYERS) == names


def test_numbers_count_all_layers_whichever_may_be_meant() -> None:
    assert chosen(OPS, "2-4", "keep_dense", WEIGHTED) == ["block.0.fc", "block.1.fc"]


def test_a_name_goes_before_a_number_and_a_comma() -> None:
    named = network(square("2"), square("a,b", "2"), square("c", "a,b")).ops
    assert chosen(named, "2", "layers", named) == ["2"] and chosen(named, "a,b", "layers", named) == ["a,b"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("heat", "'heat', which no layer has (did you mean 'head'?)"),
        ("3", "'3', which no layer has"),
        ("0", "'0', which no layer has"),
        ("first,7", "'7', which no layer has"),
        (",", "',', which no layer has"),
        (7, "7"),
    ],
)
def test_what_names_nothing_is_refused(words: object, found: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        chosen(OPS, words, "keep_dense", WEIGHTED)
    assert str(refused.value) == f"keep_dense: expected {EXPECTED}, found {found}"
