"""Do our masks equal those of NVIDIA's ModelOpt, and in which order does it prune filters?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stcsim.numerics import keep_mask
from stcsim.numerics.sparse.filter_orders import as_matrix, crowded_groups, from_matrix, reduction_order

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")
pytest.importorskip("modelopt", reason="ModelOpt is not installed (pip install stcsim[workflow])")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # when it is imported
PATTERN = "2:4 sparsity"


def filters(*shape: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(32, 64), (16, 32, 3, 3), (16, 32, 5)])
def test_its_masks_by_magnitude_are_those_of_kernels_order(shape: tuple[int, ...]) -> None:
    from modelopt.torch.sparsity.weight_sparsity.magnitude import create_asp_mask

    w = filters(*shape)
    ours = from_matrix(keep_mask(as_matrix(w.numpy(), "rsc")), shape, "rsc")
    assert np.array_equal(create_asp_mask(w, PATTERN).numpy(), ours)


def test_its_sparsegpt_prunes_filters_in_the_order_of_memory_which_no_kernel_runs() -> None:
    from modelopt.torch.sparsity.weight_sparsity.sparsegpt import create_sgpt_mask

    w, inputs = filters(16, 32, 3, 3), filters(500, 288)
    config = {"hessian_damp": 0.1, "pattern": PATTERN, "col_block_size": 128, "row_block_size": -1}
    mask = create_sgpt_mask(w, inputs.T @ inputs, config).numpy()
    assert reduction_order(mask) == "crs" and (crowded_groups(mask, "rsc") or 0) > 100
