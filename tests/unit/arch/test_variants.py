"""What-ifs with a name: the GPU beside its variants, and one sentence for what is no variant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stcsim.arch import load_arch
from stcsim.arch.variants import base_name, parse_variant, with_variants
from stcsim.errors import ArchError
from stcsim.words import listed

A100, H100 = load_arch("a100"), load_arch("h100")


def test_every_gpu_is_followed_by_its_variants() -> None:
    gpus = with_variants([A100, H100], ["wide:l2.bandwidth_bytes_per_clk=x1.5", "big:l2.capacity_mib=80, sm.count = +8"])
    assert [gpu.name for gpu in gpus] == ["a100", "a100:wide", "a100:big", "h100", "h100:wide", "h100:big"]
    assert (gpus[0], gpus[3]) == (A100, H100)
    assert gpus[4].l2.bandwidth_bytes_per_clk == 1.5 * H100.l2.bandwidth_bytes_per_clk
    assert (gpus[2].l2.capacity_mib, gpus[2].sm.count, gpus[5].sm.count) == (80, A100.sm.count + 8, H100.sm.count + 8)
    assert [base_name(gpu.name) for gpu in gpus] == [*["a100"] * 3, *["h100"] * 3]


def test_a_list_keeps_its_commas() -> None:
    (_, one_gpc) = with_variants([A100], ["tiny:sm.count=20,sm.sms_per_gpc=[18, 2],l2.capacity_mib=4"])
    assert (one_gpc.sm.sms_per_gpc, one_gpc.l2.capacity_mib) == ((18, 2), 4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("big_l2", "variant: expected NAME:PATH=VALUE,PATH=VALUE, e.g. big_l2:l2.capacity_mib=80, found 'big_l2'"),
        ("big_l2:", "variant: expected NAME:PATH=VALUE,PATH=VALUE, e.g. big_l2:l2.capacity_mib=80, found 'big_l2:'"),
        ("l2.capacity_mib=80:x", "variant: expected a name of letters, digits and _.+- (at most 40), found 'l2.capacity_mib=80'"),
        (":l2.capacity_mib=80", "variant: expected a name of letters, digits and _.+- (at most 40), found ''"),
        (
            "big:l2.capacity_mb=80",
            "variant big l2.capacity_mb: expected the dotted path of one value, e.g. l2.capacity_mib, "
            "found 'l2.capacity_mb' (did you mean 'l2.capacity_mib'?)",
        ),
        ("big:l2.capacity_mib=x0", "variant big l2.capacity_mib x0 of 40: expected a number from 0.001 to 1000000, found 0.0"),
        ("big:80", "variant big: expected path=value, e.g. l2.capacity_mib=80, found '80'"),
    ],
)
def test_what_is_no_variant_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ArchError) as found:
        with_variants([A100], [text])
    assert str(found.value) == sentence


def test_each_name_stands_once() -> None:
    with pytest.raises(ArchError, match="variant: expected each name once, found 'a' twice"):
        with_variants([A100], ["a:sm.count=80", "a:sm.count=90"])


def test_a_parsed_variant_serves_too() -> None:
    (_, big) = with_variants([A100], [parse_variant("big:l2.capacity_mib=80")])
    assert big.name == "a100:big" and listed(big.name, "archs", "names") == ["a100:big"]


@pytest.mark.parametrize("command", [("run", "TOY"), ("gemm", "64x64x64")])
def test_a_run_takes_one_what_if_and_names_it(
    command: tuple[str, ...], toy: Path, called: dict[str, object], ran: Callable[..., str]
) -> None:
    words = [toy if word == "TOY" else word for word in command]
    ran(*words, "--arch", "a100", "--set", "sm.count=100", "--variant", "more:sm.count=+8")
    gpu = called["arch"]
    assert (gpu.name, gpu.sm.count) == ("a100:more", 108)  # type: ignore[attr-defined]


def test_a_run_refuses_several_what_ifs_and_says_who_takes_them(toy: Path, refused: Callable[..., str]) -> None:
    two = ("--variant", "a:sm.count=80", "--variant", "b:sm.count=90")
    sentence = "--variant: expected one GPU with one what-if (stcsim compare and stcsim curve take several), found 2 what-ifs"
    assert refused("run", toy, "--arch", "a100", *two) == sentence


def test_the_next_command_of_a_run_names_the_gpu_and_its_changes(ran: Callable[..., str]) -> None:
    printed = " ".join(ran("gemm", "64x64x64", "--arch", "a100", "--variant", "more:sm.count=+8").split())
    assert "gemm 64x64x64 on a100:more" in printed
    assert "stcsim explain 64 64 64 --arch a100 --dtype fp16 --set=sm.count=116 says why" in printed
