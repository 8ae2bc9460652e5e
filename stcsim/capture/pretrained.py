"""Any model of transformers, built from its configuration, offline and without weights.

``transformers:gpt2``, ``transformers:BertForMaskedLM``, or ``transformers:path/to/config.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers.models.auto import modeling_auto as auto

from stcsim.capture.factory import given, named_sizes, token_ids, told
from stcsim.capture.foreign import STOPS, first_line, imports
from stcsim.capture.networks import Network, Shape
from stcsim.capture.networks.network import IMAGE
from stcsim.capture.tensors import TensorShape
from stcsim.errors import TraceError, closest

_TOKENS, _SAMPLES = 128, 16000
"""What a network is fed with where its configuration does not say it: tokens, and samples of one second of sound."""

_TASKS = (
    auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING,
    auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    auto.MODEL_FOR_CAUSAL_LM_MAPPING,
    auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    auto.MODEL_MAPPING,
)
"""Which class of a model type is meant: what it was made for first; one that also guesses masked words is an encoder."""


def transformers_network(name: str, arguments: Mapping[str, Any], tensors: Sequence[TensorShape] = ()) -> Network:
    """Return the row of ``transformers:`` and a model type, a class, or the path of a configuration.

    Args:
        name: with the prefix.
        arguments: of the configuration, such as ``{"num_hidden_layers": 2}``; a dot leads into a configuration within it.
        tensors: what the model is fed with; by default what its class and configuration say.

    Raises:
        TraceError: when there is no such model, no such argument, or nothing says what the model is fed with.
    """
    place = f"capture {name}"
    with imports(place, "model of transformers"):
        config, kind = _model(place, name.partition(":")[2], arguments)
    built: list[nn.Module] = []

    def build() -> nn.Module:
        built[:] = [kind(config)]
        return built[0]

    names, shape = named_sizes(tensors) if tensors else _default_shape(place, config, kind)
    sizes = "{}x{}x{}" if names == IMAGE else ", ".join(f"{{}} {each}" for each in names)
    return Network(
        title=f"{kind.__name__}, {sizes}",
        library="transformers",
        model=kind.__name__,
        notes=told(arguments) or "default configuration",
        input_names=names,
        input_shape=shape,
        build=build,
        inputs=lambda batch, shape: given(tensors, batch, built[0]) if tensors else _inputs(built[0], names, batch, shape),
    )


def _model(place: str, asked: str, arguments: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return a configuration and the class of the model."""
    if asked.endswith(".json"):
        fields = _read(place, asked)
        kind_name = next(iter(fields.get("architectures") or ()), "")
        config = _config(place, _from_type(place, str(fields.pop("model_type", ""))), {**fields, **_nested(arguments)}, arguments)
        kind = getattr(transformers, kind_name, None) or _class_of(place, config)
        return config, kind
    named: Any = getattr(transformers, asked, None) if asked[:1].isupper() else None
    if getattr(named, "config_class", None):
        return _config(place, named.config_class, _nested(arguments), arguments), named
    config = _config(place, _from_type(place, asked), _nested(arguments), arguments)
    return config, _class_of(place, config)


def _from_type(place: str, model_type: str) -> Any:
    """Return the class of the configuration of a model type."""
    if model_type not in transformers.CONFIG_MAPPING:
        known = list(transformers.CONFIG_MAPPING.keys())
        expected = "a model type of transformers such as gpt2, a class such as BertForMaskedLM, or the path of a config.json"
        raise TraceError(place, expected, f"'{model_type}'{closest(model_type, known)}")
    return transformers.CONFIG_MAPPING[model_type]


def _config(place: str, kind: Any, fields: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
    """Return a configuration with these fields; only ``arguments``, which a user typed, are checked."""
    try:
        known = kind()
        for name in arguments:
            first = name.partition(".")[0]
            if not hasattr(known, first):
                found = f"'{first}'{closest(first, known.to_dict())}"
                raise TraceError(f"arguments of {place.removeprefix('capture ')}", f"a field of {kind.__name__}", found)
        return kind(**fields)
    except TraceError:
        raise
    except STOPS as error:
        raise TraceError(place, f"a configuration that {kind.__name__} takes", first_line(error)) from error


def _nested(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{"text_config.hidden_size": 8}`` as ``{"text_config": {"hidden_size": 8}}``."""
    fields: dict[str, Any] = {}
    for name, value in arguments.items():
        inner = fields
        *outer, last = name.split(".")
        for part in outer:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return fields


def _read(place: str, path: str) -> dict[str, Any]:
    try:
        fields = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TraceError(place, "a configuration that can be read", error.strerror or str(error)) from None
    except ValueError as error:
        raise TraceError(place, "a configuration in JSON", first_line(error)) from None
    if not isinstance(fields, dict):
        raise TraceError(place, "a JSON object with a model_type", type(fields).__name__)
    return fields


def _class_of(place: str, config: Any) -> Any:
    """Return the class that a configuration is made for, by the first task that has one."""
    kind = type(config)
    for task in _TASKS:
        encoder = task is auto.MODEL_FOR_CAUSAL_LM_MAPPING and kind in auto.MODEL_FOR_MASKED_LM_MAPPING
        if kind in task and not encoder:
            found = task[kind]
            return found[0] if isinstance(found, tuple) else found
    raise TraceError(place, "a model type with a network of its own", f"'{config.model_type}' (name a class instead)")


def _default_shape(place: str, config: Any, kind: Any) -> tuple[tuple[str, ...], Shape]:
    """Return what one sample of the model's main input is."""
    main = kind.main_input_name
    if main == "input_ids":
        return ("tokens",), (_TOKENS,)
    if main == "pixel_values":
        size = getattr(config, "image_size", None) or 224
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return IMAGE, (getattr(config, "num_channels", 3), height, width)
    if main == "input_values":
        return ("samples",), (_SAMPLES,)
    if main == "input_features" and hasattr(config, "num_mel_bins") and hasattr(config, "max_source_positions"):
        return ("mel bins", "frames", "tokens"), (config.num_mel_bins, 2 * config.max_source_positions, 1)
    raise TraceError(f"{place}: input", f"the shape of {main}, such as {main}=1x… among the inputs", "none")


def _inputs(module: Any, names: Sequence[str], batch: int, shape: Shape) -> dict[str, torch.Tensor]:
    """Return the arguments of a forward pass; a decoder behind an encoder takes as many tokens, or what ``names`` says.

    Some decoders look for padding in values that tensors without data lack, unless they are given a 4-D mask.
    """
    main = module.main_input_name
    if main == "input_ids":
        given = token_ids(module, batch, shape[0])
        length = shape[0]
    else:
        length = shape[-1]
        given = {main: torch.zeros(batch, *(shape[:-1] if "tokens" in names else shape))}
    if getattr(module.config, "is_encoder_decoder", False):
        given["decoder_input_ids"] = torch.zeros(batch, length, dtype=torch.long)
        given["decoder_attention_mask"] = torch.ones(batch, 1, length, length, dtype=torch.bool)
    return given
