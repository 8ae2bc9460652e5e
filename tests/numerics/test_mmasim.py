"""Do the dense rows agree with MMA-Sim (PyPI ``mmasim``, written against 2.1.1; arXiv 2511.10909), bit for bit?

MMA-Sim has no sparse instruction, no integers, and no fp8 ``mma.sync`` on sm_90 and sm_100 (checked against GPU outputs instead).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stcsim.isa import DTYPES
from stcsim.numerics.engine import fast
from stcsim.numerics.evidence.draws import CLASSES, operands, rows
from stcsim.numerics.rules import Datapath

NAMES = {
    "sm_70": "Volta",
    "sm_75": "Turing",
    "sm_80": "Ampere",
    "sm_89": "Ada Lovelace",
    "sm_90": "Hopper",
    "sm_100": "Blackwell",
    "sm_120": "RTX Blackwell",
}
ROWS = dict(rows())
NOT_IN_MMASIM = [label for label, path in ROWS.items() if path.rule is not None and path.rule.adds_c_last]


def simulator(label: str) -> Any:
    """Return MMA-Sim's instruction of a row."""
    nv_ptx = pytest.importorskip("mmasim.nv_ptx")
    arch, name = label.split()
    kind, rest = name.split(".", 1)
    if kind == "tcgen05":  # its words: shape.kind::f8f6f4.types
        return nv_ptx.TCGen05MMA(NAMES[arch], rest.replace(".", ".kind::f8f6f4.", 1))
    return {"mma": nv_ptx.MMA, "wgmma": nv_ptx.WGMMA}[kind](NAMES[arch], rest)


def tensor(codes: np.ndarray, name: str) -> Any:
    """Return raw codes as a torch tensor of the type they encode."""
    torch = pytest.importorskip("torch")
    signed = np.ascontiguousarray(codes).view(f"int{8 * codes.itemsize}")
    return torch.from_numpy(signed).view(getattr(torch, DTYPES[name].torch))


def oracle(label: str, path: Datapath, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return MMA-Sim's D of one instruction, as codes."""
    n, m = c.shape[2], c.shape[1]
    left = tensor(a, path.a.name)[:, :, None, :].expand(-1, -1, n, -1)
    right = tensor(np.swapaxes(b, 1, 2), path.b.name)[:, None].expand(-1, m, -1, -1)
    d = simulator(label).dpa(left, right, tensor(c, path.c.name)).contiguous().numpy()
    return d.view(f"uint{8 * d.itemsize}")


@pytest.mark.parametrize("label", [label for label in ROWS if label not in NOT_IN_MMASIM])
def test_row_agrees_with_mmasim(label: str) -> None:
    path = ROWS[label]
    for name in CLASSES:
        a, b, c = operands(path, name, batch=10, m=8, n=8, seed=6)  # 7 * 640 results, 59 rows: 264,320 in all
        a, b = a[..., : path.products], b[:, : path.products]
        assert np.array_equal(fast.multiply(path, a, b, c), oracle(label, path, a, b, c)), name


def test_only_the_emulated_rows_are_missing_from_mmasim() -> None:
    assert len(NOT_IN_MMASIM) == 16 and len(ROWS) == 75
    assert all("mma.m16n8k" in label and "e4m3" in label or "e5m2" in label for label in NOT_IN_MMASIM)
