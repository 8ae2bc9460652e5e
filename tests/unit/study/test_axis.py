"""The grammar of ``--over`` and ``--gemm``: what it means, and the sentence for what it cannot mean."""

from __future__ import annotations

import pytest

from stcsim.errors import StcsimError
from stcsim.study.axis import Axis, GemmPattern, parse_axis, parse_gemm


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("batch=1..2048", ("batch",), tuple(2**at for at in range(12))),
        ("batch=3..100", ("batch",), (3, 6, 12, 24, 48, 96)),
        ("batch=64,1,8,8", ("batch",), (1, 8, 64)),
        ("seq=128..512:128", ("seq",), (128, 256, 384, 512)),
        ("seq=1..64:8,64", ("seq",), (1, 9, 17, 25, 33, 41, 49, 57, 64)),
        ("resolution=800x1280,224,1280x800", ("resolution",), ((224, 224), (800, 1280), (1280, 800))),
        ("resolution=128..256:64", ("resolution",), ((128, 128), (192, 192), (256, 256))),
        ("K=512..2048", ("k",), (512, 1024, 2048)),
        ("k, m ,n = 7", ("m", "n", "k"), (7,)),
    ],
)
def test_an_axis_is_read(text: str, names: tuple[str, ...], values: tuple[object, ...]) -> None:
    assert parse_axis(text) == Axis(names, values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("batch", "over: expected values, e.g. batch=64..512, found 'batch'"),
        ("bach=1", "found 'bach' (did you mean 'batch'?)"),
        ("batch,seq=1", "over: expected one axis, or several of m, n and k with one value, found 'batch,seq'"),
        ("m,m=3", "found 'm,m'"),
        ("batch=", "found ''"),
        ("batch=0", "found '0'"),
        ("batch=-1", "found '-1'"),
        ("batch=1..x", "found '1..x'"),
        ("batch=1...8", "found '1...8'"),
        ("batch=1..8:", "found '1..8:'"),
        ("batch=1..8:0", "found '1..8:0'"),
        ("batch=224x224", "ranges such as 1..64 (doubling) or 64..512:64 (steps), found '224x224'"),
        ("resolution=224x", "over resolution: expected heights x widths such as 800x1280, numbers"),
        ("batch=64..1", "over batch: expected a range that ends above its start, found '64..1'"),
        ("batch=1..2000:1", "over batch: expected at most 1000 values, found 2000"),
        ("batch=1..999999999:1,1", "over batch: expected at most 1000 values, found 999999999"),
    ],
)
def test_what_is_no_axis_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(StcsimError) as found:
        parse_axis(text)
    assert sentence in str(found.value)


def test_a_gemm_has_numbers_and_free_letters() -> None:
    pattern = parse_gemm("10240x512xK")
    assert pattern == GemmPattern(10240, 512, None) and pattern.free == ("k",) and pattern.title == "10240×512×k"
    assert pattern.sizes(64) == (10240, 512, 64) and GemmPattern().sizes(8) == (8, 8, 8)


@pytest.mark.parametrize("text", ["4096x4096", "4096x4096x0", "kx4096x4096", "4096x4096xq", "1x2x3x4", ""])
def test_what_is_no_gemm_is_refused(text: str) -> None:
    with pytest.raises(StcsimError) as found:
        parse_gemm(text)
    assert str(found.value).startswith("gemm: expected sizes above 0") and str(found.value).endswith(f"found '{text}'")
