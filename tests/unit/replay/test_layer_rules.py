"""Do patterns name the layers that a user means?"""

from __future__ import annotations

import pytest

from stcsim.errors import UnsupportedError
from stcsim.replay import LayerRules
from tests.unit.small_networks import network, square, step

TRACE = network(
    square("stem"), square("block.0.fc", "stem"), step("norm", "layer_norm", "block.0.fc"),
    square("scores", "norm", "stem", weight=False),
    square("head", "scores"),
)  # fmt: skip
OPS = {op.name: op for op in TRACE.ops}


def dense(*patterns: str) -> dict[str, str]:
    rules = LayerRules(TRACE, None, patterns)
    return {name: why for name, op in OPS.items() if (why := rules.why_dense(op))}


def test_words_and_patterns_keep_layers_dense() -> None:
    assert dense("first", "last") == {"stem": "kept dense (first)", "head": "kept dense (last)"}
    assert dense("block.*") == {"block.0.fc": "kept dense (block.*)"}
    assert list(dense("*")) == ["stem", "block.0.fc", "head"]  # what has no weights is not pruned anyway
    assert dense() == {}


def test_the_last_type_that_fits_is_the_rule() -> None:
    rules = LayerRules(TRACE, "int8", (), {"*": "bf16", "norm": "fp16", "last": "int8"})
    assert [rules.type_of(op).name for op in TRACE.ops] == ["bf16", "bf16", "fp16", "bf16", "int8"]
    assert {each.name for each in rules.types} == {"int8", "bf16", "fp16"} and rules.element.name == "int8"
    assert LayerRules(TRACE, None).element.name == "fp16"


def test_all_but_what_is_pruned_stays_dense() -> None:
    for pruned_as, left in (
        (("block.*", "head"), ["stem"]),
        ("stem", ["block.0.fc", "head"]),
        ((), ["stem", "block.0.fc", "head"]),
    ):
        rules = LayerRules(TRACE, None, pruned_as=pruned_as)
        assert [name for name, op in OPS.items() if rules.why_dense(op)] == left
    rules = LayerRules(TRACE, None, "first", pruned_as=["stem", "head"])
    assert rules.why_dense(OPS["stem"]) == "kept dense (first)" and rules.why_dense(OPS["head"]) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_dense": ["hed"]}, "keep_dense: expected .*, found 'hed', which no layer has (did you mean 'head'?)"),
        ({"keep_dense": ["scores"]}, "keep_dense: expected .*, found 'scores', which no layer has"),
        ({"pruned_as": ["stem", "hed"]}, "pruned_as: expected .*, found 'hed', which no layer has (did you mean 'head'?)"),
        ({"dtype_of": {"encoder.*": "int8"}}, "dtype_of: expected .*, found 'encoder.*', which no layer has"),
        ({"dtype_of": {"head": "int7"}}, "dtype_of: expected one of .*, found 'int7' (did you mean 'int8'?)"),
    ],
)
def test_what_names_nothing_is_refused(options: dict[str, object], message: str) -> None:
    start, _, found = message.partition(".*")
    with pytest.raises(UnsupportedError) as refusal:
        LayerRules(TRACE, None, **options)  # type: ignore[arg-type]
    assert str(refusal.value).startswith(start) and str(refusal.value).endswith(found)
