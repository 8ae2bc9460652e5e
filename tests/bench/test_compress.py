"""How fast weights become 2:4: bytes of dense weights each second on one core."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from stcsim.numerics.sparse.pruning import METHODS, prune
from stcsim.numerics.sparse.sparse24 import compress, expand
from tests.numerics.matrices import random_sparse


def fastest_s(run: Callable[[], object], times: int = 5) -> float:
    """Return the shortest of ``times`` runs in seconds, after one that may compile."""
    taken = []
    for _ in range(times + 1):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


@pytest.mark.parametrize("dtype", ["fp16", "int8", "tf32", "int4"])
def test_weights_are_compressed_at_the_speed_of_memory(dtype: str) -> None:
    codes = random_sparse(dtype, (4096, 4096), 0)
    packed = compress(codes, dtype)
    for name, run in (("compress", lambda: compress(codes, dtype)), ("expand", lambda: expand(packed))):
        mb_per_s = codes.nbytes / fastest_s(run) / 1e6
        print(f"\n{name} {dtype}: {mb_per_s:.0f} MB/s of dense weights (at least 500)")
        assert mb_per_s >= 500


@pytest.mark.parametrize("method", METHODS)
def test_resnet34_is_pruned_in_about_a_second(method: str) -> None:
    w = np.random.default_rng(0).standard_normal((21 * 1024, 1024), dtype=np.float32)  # 22 M weights
    taken_s = fastest_s(lambda: prune(w, method=method), times=2)
    print(f"\nprune {method}: {taken_s:.2f} s for {w.size / 1e6:.0f} M weights (at most 2 s)")
    assert taken_s <= 2
