"""What L2 holds when a launch begins: laws of the reuse distance between launches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stcsim.arch import Arch, load_arch
from stcsim.timing.plan import HELD_WHOLE, are_held
from stcsim.timing.problem import Problem
from stcsim.timing.rates import HELD_EDGE, held_in_l2, l2_capacity_bytes
from tests.shapes import problem

MIB = 2**20


def gpu(l2_mib: float, shared: float = 1.0) -> Arch:
    """Return a GPU with so much L2 for what all SMs read."""
    return load_arch("a100", [f"l2.capacity_mib={l2_mib}", f"l2.shared_fraction={shared}"])


def turning(copies: int, m: int = 2048, n: int = 64, k: int = 2048) -> Problem:
    """Return a GEMM whose weights, 8 MiB in fp16, are one of several sets."""
    return problem(m, n, k, weights_in_l2=True, weight_copies=copies)


@pytest.mark.parametrize("sparse", [False, True])
def test_more_sets_of_weights_never_leave_more_of_them(sparse: bool) -> None:
    arch = gpu(40)
    held = [held_in_l2(arch, turning(copies), sparse) for copies in range(1, 20)]
    assert [each.a for each in held] == sorted((each.a for each in held), reverse=True)
    assert held[0].a == HELD_WHOLE and held[-1].a == 0
    assert any(0 < each.a < HELD_WHOLE for each in held)


def test_more_l2_never_holds_less() -> None:
    for each in (turning(5), turning(1, 4096, 4096, 4096), problem(2560, 2560, 2560)):
        held = [held_in_l2(gpu(mib), each, False) for mib in range(4, 160, 4)]
        for shares in zip(*held, strict=True):
            assert list(shares) == sorted(shares)
    assert held_in_l2(gpu(50, 0.5), turning(3), False) == held_in_l2(gpu(25), turning(3), False)


def test_what_exceeds_the_l2_by_its_edge_has_lost_all() -> None:
    each = turning(4)
    touched = 4 * (each.a_bytes(False) + each.d_bytes) + each.b_bytes
    fits, lost = gpu(touched / MIB), gpu(touched / MIB / (1 + HELD_EDGE) - 1e-3)
    assert held_in_l2(fits, each, False).a == HELD_WHOLE and held_in_l2(lost, each, False).a == 0
    half = gpu(touched / MIB / (1 + HELD_EDGE / 2))
    assert held_in_l2(half, each, False).a == pytest.approx(HELD_WHOLE / 2, abs=2)


def test_each_set_of_weights_has_a_result_of_its_own_which_rotates_with_it() -> None:
    # 1024 x 8192 x 64 in fp16: D has 16 MiB and A an eighth of one, so results alone fill the L2
    each, arch = turning(4, 1024, 8192, 64), gpu(40)
    held = held_in_l2(arch, each, False)
    assert held.a == held.d == 0 and held.b == HELD_WHOLE
    assert held_in_l2(arch, replace(each, weight_copies=2), False).d == HELD_WHOLE
    # weights that are cold whatever there is say nothing of D
    assert held_in_l2(arch, replace(each, weights_in_l2=False), False) == (0, HELD_WHOLE, HELD_WHOLE)


def test_2_4_keeps_more_sets_than_dense() -> None:
    arch = gpu(40)
    fitting = [
        sum(held_in_l2(arch, turning(copies), sparse).a == HELD_WHOLE for copies in range(1, 20)) for sparse in (False, True)
    ]
    assert fitting == [4, 8]  # 8 MiB, or 4.5 with metadata, with a D of 256 KiB each, beside a B of 256 KiB


def test_one_set_is_the_same_weights_in_every_launch() -> None:
    arch = load_arch("a100")
    assert held_in_l2(arch, turning(1), False) == held_in_l2(arch, problem(2048, 64, 2048, weights_in_l2=True), False)
    assert l2_capacity_bytes(arch) > 8 * MIB


@pytest.mark.parametrize("held", [0, 1, 137, 512, 1023, HELD_WHOLE])
def test_of_each_1024_chunks_the_share_is_exact(held: int) -> None:
    found = are_held(3 * HELD_WHOLE, held)
    assert [int(found[at : at + HELD_WHOLE].sum()) for at in range(0, 3 * HELD_WHOLE, HELD_WHOLE)] == [held] * 3
    assert set(are_held(3 * HELD_WHOLE, min(held, HELD_WHOLE - 1)).nonzero()[0]) <= set(found.nonzero()[0])  # more keeps the same
