"""Do names say what is alike, and do patterns name a group of layers and nothing else?"""

from __future__ import annotations

from collections import defaultdict
from fnmatch import fnmatchcase

import pytest

import stcsim
from stcsim.data import data_folder
from stcsim.trace import Conv2d, Memory, Trace
from stcsim.trace.names import common_name, fits, kind_of, patterns_for

SHIPPED = sorted(path.stem for path in data_folder("traces").glob("*.json"))


def alike(trace: Trace) -> list[list[str]]:
    """Return the names of layers with weights, by kind of name and sizes."""
    groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for op in trace.ops:
        if op.weight_elements and not isinstance(op, Memory):
            gemm = op.gemm() if isinstance(op, Conv2d) else op
            groups[kind_of(op.name), gemm.m, gemm.n, gemm.k, gemm.batch].append(op.name)
    return list(groups.values())


def named(patterns: tuple[str, ...], names: list[str]) -> list[str]:
    """Return those of ``names`` that some pattern fits, by the shell's rules."""
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fc", "fc"),
        ("layer4.2.conv2", "layer*.*.conv*"),
        ("encoder.layer.11.attention", "encoder.layer.*.attention"),
        ("12", "*"),
        ("", ""),
        ("add#2", "add#*"),
    ],
)
def test_the_kind_of_a_name_has_a_star_for_each_number(name: str, kind: str) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (("fc",), "fc"),
        (("layer1.0.conv2",), "layer1.0.conv2"),
        (("layer1.0.conv2", "layer1.1.conv2"), "layer1.*.conv2"),
        (("layer1.0.conv2", "layer2.1.conv2"), "layer*.*.conv2"),
        (("layer1.9.conv", "layer1.10.conv", "layer1.11.conv"), "layer1.*.conv"),
        (("7", "8"), "*"),
        (("a1", "a01"), "a*"),
    ],
)
def test_the_common_name_opens_the_numbers_that_differ(names: tuple[str, ...], common: str) -> None:
    assert common_name(names) == common


def test_a_pattern_fits_as_in_a_shell_and_keeps_the_order() -> None:
    names = ["b.1", "a.10", "a.2", "A.3"]
    assert fits("a.*", names) == ["a.10", "a.2"]
    assert fits("a.[0-9]", names) == ["a.2"]
    assert fits("?.?", names) == ["b.1", "a.2", "A.3"]
    assert fits("c", names) == []


@pytest.mark.parametrize("shipped", SHIPPED)
def test_patterns_fit_a_group_of_a_shipped_network_and_no_other_layer(shipped: str) -> None:
    groups = alike(stcsim.load_trace(shipped))
    names = [name for group in groups for name in group]
    for group in groups:
        patterns = patterns_for(group, set(names) - set(group))
        assert named(patterns, names) == group
        assert all(fits(pattern, group) for pattern in patterns)  # none is idle


def test_one_pattern_is_enough_where_a_number_may_be_any() -> None:
    names = [f"layers.{at}.fc" for at in range(12)]
    assert patterns_for(names, ["layers.0.gate", "head"]) == ("layers.*.fc",)


def test_a_lone_layer_is_named_by_its_name() -> None:
    assert patterns_for(["layer1.0.conv1"], ["layer1.0.conv2", "fc"]) == ("layer1.0.conv1",)


def test_digits_are_told_apart_from_words_that_a_star_would_take_in() -> None:
    # "block*" fits "block1.proj", too; two names of one digit are one class of digits
    assert patterns_for(["block1", "block2"], ["block1.proj"]) == ("block[0-9]",)


def test_a_range_leaves_out_numbers_beyond_it() -> None:
    # neither "*" nor "[0-9]" may take in layer 3 or layer 0
    assert patterns_for(["l.1.fc", "l.2.fc"], ["l.0.fc", "l.3.fc"]) == ("l.[1-2].fc",)


def test_a_gap_takes_more_than_one_pattern() -> None:
    names, others = ["l.0", "l.1", "l.3"], ["l.2", "l.4"]
    patterns = patterns_for(names, others)
    assert len(patterns) > 1 and named(patterns, names + others) == names


def test_nothing_is_named_by_no_pattern() -> None:
    assert patterns_for([], ["fc"]) == ()


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (["branch[0].fc", "branch[1].fc"], ["branch0.fc", "branch1.fc", "branch[0].fc2"]),
        (["a*1", "a*2"], ["ab1", "ab2", "a1"]),
        (["why?1"], ["whyx1", "why1"]),
        (["[a]"], ["a"]),
        (["*"], ["a", "anything"]),
        (["x]1", "x]2"], ["x1", "x]a"]),
    ],
)
def test_signs_of_the_shell_in_a_name_stand_for_themselves(names: list[str], others: list[str]) -> None:
    patterns = patterns_for(names, others)
    assert named(patterns, names + others) == names


def test_names_of_more_than_six_numbers_are_named_one_by_one() -> None:
    names = [f"m1.2.3.4.5.6.{at}" for at in range(3)]
    assert patterns_for(names, ["fc"]) == tuple(names)
    assert patterns_for([f"{name}[a]" for name in names], names) == tuple(f"{name}[[]a]" for name in names)


def test_names_of_six_numbers_still_share_a_pattern() -> None:
    names = [f"m1.2.3.4.5.{at}" for at in range(3)]
    assert len(patterns_for(names, ["fc"])) == 1


def test_numbers_of_other_lengths_do_not_disturb_a_range() -> None:
    names, others = ["l.8", "l.9", "l.10", "l.11"], ["l.7", "l.12", "l.1", "l.110"]
    assert named(patterns_for(names, others), names + others) == names
