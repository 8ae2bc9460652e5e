"""How far results are from fp32."""

from __future__ import annotations

import torch

from stcsim.isa import DTYPES
from stcsim.numerics.torch.record import Errors


def errors_of(results: torch.Tensor, exact: torch.Tensor, output: str) -> Errors:
    """Return the errors of ``results`` against ``exact``, in units in the last place of the type ``output``."""
    form = DTYPES[output]
    ours, theirs = results.detach().float().reshape(-1), exact.detach().float().reshape(-1)
    error = (ours - theirs).abs()
    exponent = torch.frexp(theirs).exponent.sub_(1).clamp_(min=form.min_exponent)
    exponent[theirs == 0] = form.min_exponent
    ulps = torch.ldexp(error, form.fraction_bits - exponent)
    ours_double, theirs_double = ours.double(), theirs.double()
    norms = float(ours_double.norm() * theirs_double.norm())
    return Errors(
        max_abs=float(error.max()),
        mean_abs=float(error.mean(dtype=torch.float64)),
        cosine=float(ours_double.dot(theirs_double)) / norms if norms else float(bool(error.max() == 0)),
        max_ulp=float(ulps.max()),
        mean_ulp=float(ulps.mean(dtype=torch.float64)),
    )
