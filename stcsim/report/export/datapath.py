"""What a network did on the simulated datapath, as a sheet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stcsim.report.sheet import Field, Sheet

if TYPE_CHECKING:
    from stcsim.numerics.torch.record import Record

_FIELDS = (
    Field("name", "layer", elastic="start"),
    Field("kind", rank=3),
    Field("m", rank=1),
    Field("n", rank=1),
    Field("k", rank=1),
    Field("batch", rank=2),
    Field("sparse", "2:4"),
    Field("dtype", "in", rank=3),
    Field("output", "out", rank=3),
    Field("errors.max_abs", "error", "at most"),
    Field("errors.mean_abs", "error", "mean"),
    Field("errors.cosine", "cosine", "", lambda value: f"{value:.6f}", rank=1),
    Field("errors.max_ulp", "error", "ulp, at most", rank=2),
    Field("errors.mean_ulp", "error", "ulp, mean", rank=1),
    Field("activations_beyond", "beyond", "inputs", rank=4),
    Field("weights_beyond", "beyond", "weights", rank=4),
    Field("not_finite", "not finite", rank=4),
    Field("seconds", "time", "s", lambda value: f"{value:.3f}", rank=4),
)


def datapath_sheet(record: Record, inputs: Mapping[str, Any] | None = None) -> Sheet:
    """Return one row for each product; ``inputs`` are the arguments that the record was made with, for the document."""
    against = {"layer": "the same layer in fp32", "network": "the network in fp32"}.get(record.reference)
    errors = f"errors against {against}" if against else "not compared with fp32"
    left_out = f"{len(record.not_simulated)} not simulated" if record.not_simulated else "every product was simulated"
    count = f"{len(record.layers)} product{'s' * (len(record.layers) != 1)}"
    return Sheet(
        "datapath-1",
        f"{count} on the simulated datapath, {record.macs / 1e9:.3g} GMAC; {errors}",
        _FIELDS,
        record.layers,
        dict(inputs or {}),
        foot=left_out,
        notes={
            "reference": record.reference,
            "not_simulated": record.not_simulated,
            "not_compared": record.not_compared,
        },
    )
