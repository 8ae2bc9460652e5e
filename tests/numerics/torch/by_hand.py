"""Layers computed by hand: ``numerics.gemm`` and ``numerics.conv2d`` on codes that the test makes itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from stcsim.numerics import compress, conv2d, encode, gemm, values
from stcsim.numerics import torch as simulated
from stcsim.numerics.conv import filter_matrix
from stcsim.numerics.epilogue import Epilogue

OUT = {"fp16": "fp16", "bf16": "bf16", "tf32": "fp32"}


class Seen(TorchFunctionMode):
    """Inputs and results of modules of one operator and of attention while a network runs."""

    def __init__(self, model: nn.Module) -> None:
        self.modules: list[tuple[str, nn.Module, torch.Tensor, torch.Tensor]] = []
        self.attention: list[tuple[tuple[Any, ...], dict[str, Any], torch.Tensor]] = []
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.register_forward_hook(self._see(name))

    def _see(self, name: str) -> Any:
        return lambda module, args, result: self.modules.append((name, module, args[0].clone(), result.clone()))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is nn.functional.scaled_dot_product_attention:
            self.attention.append((args, kwargs or {}, result.clone()))
        return result


def by_hand(module: nn.Module, x: torch.Tensor, arch: str, dtype: str, sparse: bool, **options: Any) -> np.ndarray:
    """Return the codes of the results of a linear layer or a convolution."""
    bias = None if module.bias is None else values(encode(module.bias, OUT[dtype]), OUT[dtype])
    options |= {"arch": arch, "dtype": dtype, "epilogue": Epilogue(bias=bias, out_dtype=OUT[dtype])}
    w, image = encode(module.weight, dtype), encode(x, dtype)
    if isinstance(module, nn.Conv2d):
        places = {"stride": module.stride, "padding": module.padding, "dilation": module.dilation, "groups": module.groups}
        filters = compress(filter_matrix(w), dtype) if sparse else w
        return conv2d(image, filters, filter_shape=module.kernel_size, **places, **options)
    columns = np.ascontiguousarray(image.reshape(-1, image.shape[-1]).T)
    d = gemm(compress(w, dtype) if sparse else w, columns, **options)
    return np.ascontiguousarray(d.T).reshape(*image.shape[:-1], -1)


def attention_by_hand(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, arch: str, dtype: str, **options: Any) -> np.ndarray:
    """Return the codes of the results of attention without a mask."""
    options |= {"arch": arch, "dtype": dtype}
    scores = gemm(encode(q, dtype), encode(k.transpose(-1, -2).contiguous(), dtype), epilogue=Epilogue(), **options)
    p = torch.softmax(torch.from_numpy(scores.view(np.float32)) * (1 / math.sqrt(q.shape[-1])), -1)
    return gemm(encode(p, dtype), encode(v, dtype), epilogue=Epilogue(out_dtype=OUT[dtype]), **options)


def pruned(model: nn.Module) -> nn.Module:
    """Prune every layer 2:4 by magnitude, along the input channels, where they are whole groups."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and module.weight.shape[1] % 4 == 0:
            weight = module.weight.detach().movedim(1, -1)
            groups = weight.reshape(*weight.shape[:-1], -1, 4)
            smallest = groups.abs().topk(2, -1, largest=False).indices
            module.weight.data.copy_(groups.scatter(-1, smallest, 0).reshape(weight.shape).movedim(-1, 1))
    return model


def check(model: nn.Module, arguments: tuple[Any, ...], arch: str, dtype: str, sparse: bool, **options: Any) -> tuple[int, int]:
    """Run a network and compare each layer; return how many were compared, and how many ran 2:4."""
    seen = Seen(model)
    settings = {"sparse": "auto" if sparse else None, **options}
    with torch.no_grad(), simulated.datapath(arch, dtype, reference="none", **settings) as record, seen:
        model(*arguments)
    rows = {row.name: row for row in record.layers}
    with torch.no_grad():
        for name, module, x, result in seen.modules:
            expected = by_hand(module, x, arch, dtype, rows[name].sparse, **options)
            assert np.array_equal(encode(result, OUT[dtype]), expected), name
        for (q, k, v, *_), _, result in seen.attention:
            assert np.array_equal(encode(result, OUT[dtype]), attention_by_hand(q, k, v, arch, dtype, **options))
    assert record.not_simulated == []
    return len(seen.modules) + 2 * len(seen.attention), sum(row.sparse for row in record.layers)


def bert(layers: int = 12) -> tuple[nn.Module, tuple[Any, ...]]:
    """Return BERT-base with random weights, and 64 tokens: 5.5 GMAC."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.BertModel(transformers.BertConfig(num_hidden_layers=layers), add_pooling_layer=False)
    return model.eval(), (torch.randint(0, 30000, (1, 64)),)


def resnet34() -> tuple[nn.Module, tuple[Any, ...]]:
    """Return ResNet-34 with random weights, and one image: 3.7 GMAC."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ResNetConfig(depths=[3, 4, 6, 3], hidden_sizes=[64, 128, 256, 512], layer_type="basic")
    return transformers.ResNetForImageClassification(config).eval(), (torch.randn(1, 3, 224, 224),)
