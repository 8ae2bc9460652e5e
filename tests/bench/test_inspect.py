"""How fast a checkpoint is looked at: bytes of weights each second on one core, by CPU time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from stcsim.inspection import inspect_checkpoint
from tests.unit.checkpoints import drawn, pruned, write


@pytest.mark.parametrize(("magnitudes", "least_gb_per_s"), [(False, 1.0), (True, 0.6)])
def test_weights_are_counted_at_a_gigabyte_a_second(tmp_path: Path, magnitudes: bool, least_gb_per_s: float) -> None:
    sparse, dense = pruned(4096, 4096), drawn(4096, 4096)
    arrays = {f"layers.{at}.weight": (sparse, dense.view(np.uint16))[at % 2] for at in range(8)}  # fp16 and bf16
    path = write(tmp_path / "a.safetensors", arrays)
    taken_s = []
    for _ in range(4):
        start = time.process_time()
        found = inspect_checkpoint(path, magnitudes=magnitudes)
        taken_s.append(time.process_time() - start)
    gb_per_s = found.nbytes / min(taken_s[1:]) / 1e9
    print(f"\ninspect, {'with' if magnitudes else 'without'} magnitudes: {gb_per_s:.2f} GB/s (at least {least_gb_per_s})")
    assert gb_per_s >= least_gb_per_s
