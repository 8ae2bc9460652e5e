"""A die left out: boards predicted with nothing fitted to their die, as a GPU of which no board was measured.

What a fit decides on these boards is taken from a board of another die, as the file of a new GPU would have it: costs of kernels
from the die whose libraries are alike, energies from the die whose process is nearest. Vendors' figures, microbenchmarks and what
is known of the die's build stay the board's own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stcsim.arch import Arch, load_arch
from stcsim.processes import Notify
from stcsim.study.evidence.leave_one_out import Part
from stcsim.study.measured import read_measured
from stcsim.study.validate import predict_all

ROLE = "another die"


@dataclass(frozen=True, slots=True)
class Donors:
    """Boards of other dies that a board takes its fitted leaves from: those of ``power`` from one, all others from another."""

    kernels: str
    power: str


DONORS = {"a40": Donors("a100", "a100"), "l40s": Donors("a100", "h100"), "rtx4090": Donors("a100", "h100")}
_OF_THE_DIE = {"sm.sms_per_gpc", "l2.shared_fraction", "kernel.family"}
#: Leaves that go with another one from GPU to GPU.
_IN_PROPORTION = {"l2.bandwidth_bytes_per_clk": "sm.count", "clock.sustained_mhz": "clock.boost_mhz"}


def as_stranger(board: str) -> Arch:
    """Return ``board`` with the leaves that a fit decided, on it or on its donors, as its donors have them."""
    shipped, donors = load_arch(board), DONORS[board]
    carried: dict[str, object] = {}
    for leaf in shipped.leaves():
        donor = load_arch(donors.power if leaf.path.startswith("power.") else donors.kernels)
        if leaf.kind in ("vendor", "measured") or leaf.path in _OF_THE_DIE:
            continue
        if "fitted" in (leaf.kind, donor.sources[leaf.path].kind if leaf.path in donor.sources else ""):
            carried[leaf.path] = _number(donor, leaf.path) * _proportion(shipped, donor, leaf.path)
    return load_arch(board, carried)


def _proportion(board: Arch, donor: Arch, path: str) -> float:
    unit = _IN_PROPORTION.get(path)
    return _number(board, unit) / _number(donor, unit) if unit else 1.0


def _number(arch: Arch, path: str) -> float:
    return float(str(arch.value(path)))


def predict_strangers(paths: Sequence[Path], notify: Notify | None = None, jobs: int | None = None) -> Part:
    """Predict the grade A rows of ``DONORS``' boards, with their own parameters and as strangers.

    Args:
        paths: measured tables, or folders of them; boards without rows in them are left out.
        notify: called with rows done and rows in all, of the second pass.
        jobs: processes, by default one for each core.
    """
    jobs = jobs or os.cpu_count() or 1
    rows = [row for row in read_measured(paths) if row.grade == "A" and row.arch in DONORS]
    boards = {row.arch for row in rows}
    shipped = predict_all(rows, {name: load_arch(name) for name in boards}, None, jobs)
    strangers = predict_all(rows, {name: as_stranger(name) for name in boards}, notify, jobs)
    return Part(ROLE, "other dies' boards", tuple(shipped), tuple(strangers))
