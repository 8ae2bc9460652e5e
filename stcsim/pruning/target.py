"""Where pruned weights go: a file, or a folder with the same shards, its index, its configuration and the other files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stcsim.checkpoint import Checkpoint
from stcsim.checkpoint.folder import CONFIG, INDEX
from stcsim.checkpoint.writing import Planned, Writer, metadata_of, writing_npz, writing_safetensors
from stcsim.errors import StcsimError
from stcsim.files import Drafts, check_writable

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".onnx_data", ".gguf", ".npz", ".ot")
"""Endings of files that hold weights: they are not copied, since they would hold the dense ones."""
_CONFIGURED = "quantization_config"


@dataclass(frozen=True, slots=True)
class TargetFile:
    """One file of weights.

    Attributes:
        source: that it is made from.
        draft: where it is written.
        path: where it will be.
    """

    source: Path
    draft: Path
    path: Path

    def writing(self, tensors: Sequence[Planned]) -> AbstractContextManager[Writer]:
        """Open it for writing; it keeps the strings in the header of its source."""
        return opened(self.draft, self.path, tensors, metadata_of(self.source) if _is_safetensors(self.source) else {})


def opened(draft: Path, path: Path, tensors: Sequence[Planned], metadata: Mapping[str, str]) -> AbstractContextManager[Writer]:
    """Open a file of weights for writing, of the kind that the ending of ``path`` says."""
    if _is_safetensors(path):
        return writing_safetensors(draft, path, tensors, metadata)
    return writing_npz(draft, path, tensors)


def check_target(source: Checkpoint, out: Path, masks: Path | None) -> None:
    """Refuse places that cannot be written, or where something else lies, before any work.

    Raises:
        StcsimError: for a target that is the source, of another kind than the source, or taken.
    """
    if out.resolve() == source.path.resolve():
        raise StcsimError(f"out {out}", "another place than the checkpoint that is read", "the same")
    if source.path.is_dir():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise StcsimError(f"out {out}", "a folder that is new or empty", "a file" if out.is_file() else "files in it")
        if not out.resolve().parent.is_dir():
            raise StcsimError(f"out {out}", "a folder in a folder that exists", f"no folder '{out.parent}'")
        check_writable(out.resolve().with_name(f".{out.name}.tmp"), "out")
    else:
        if out.suffix.lower() != source.path.suffix.lower():
            raise StcsimError(f"out {out}", f"a name that ends in {source.path.suffix}, as what is read", out.suffix or "none")
        check_writable(out, "out")
    if masks is not None:
        if masks.suffix.lower() not in (".safetensors", ".npz"):
            raise StcsimError(f"masks {masks}", "a name that ends in .safetensors or .npz", masks.suffix or "none")
        check_writable(masks, "masks")
        if masks.resolve() in (out.resolve(), source.path.resolve()):
            raise StcsimError(f"masks {masks}", "another file than that of the weights", "the same")


def target_files(source: Checkpoint, out: Path, drafts: Drafts) -> tuple[Path, list[TargetFile]]:
    """Return the draft of the target, and the files of weights in it."""
    if not source.path.is_dir():
        draft = drafts.file(out)
        return draft, [TargetFile(source.path, draft, out)]
    draft = drafts.folder(out)
    return draft, [TargetFile(file, draft / file.name, out / file.name) for file in source.files]


def copy_others(source: Checkpoint, draft: Path, out: Path) -> tuple[str, ...]:
    """Copy what a folder holds beside its weights, and return which files were left out, since they hold weights.

    Raises:
        StcsimError: when something cannot be read or written.
    """
    left_out = []
    try:
        for path, inside in _others(source, out):
            if path.suffix.lower() in _WEIGHTS or inside.name.endswith((".bin.index.json", ".h5.index.json")):
                left_out.append(inside.as_posix())
                continue
            (draft / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, draft / inside)
    except OSError as error:
        raise StcsimError(str(out), "a folder that can be written", (error.strerror or str(error)).lower()) from None
    return tuple(left_out)


def write_index(draft: Path, places: Mapping[str, str], nbytes: int) -> None:
    """Write the index of the shards anew, where there is one, for tensors that have other names and sizes than before."""
    index = draft / INDEX
    if index.is_file():
        content = json.loads(index.read_text(encoding="utf-8"))
        content["metadata"] = {**content.get("metadata", {}), "total_size": nbytes}
        content["weight_map"] = dict(sorted(places.items()))
        index.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_config(draft: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change what ``config.json`` says of compression, where there is one."""
    config = draft / CONFIG
    if config.is_file():
        content = json.loads(config.read_text(encoding="utf-8"))
        changed = change(content.get(_CONFIGURED) or {})
        content = {key: value for key, value in content.items() if key not in (_CONFIGURED, "compression_config")}
        content |= {_CONFIGURED: changed} if changed else {}
        config.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def compressed_24(dense: Sequence[str], share_of_zeros: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what adds to a configuration that its weights are ``sparse-24-bitmask``, as compressed-tensors says it.

    Args:
        dense: layers that are not.
        share_of_zeros: of all weights.
    """
    sparsity = {
        "format": "sparse-24-bitmask",
        "global_sparsity": share_of_zeros,
        "ignore": list(dense),
        "registry_requires_subclass": False,
        "sparsity_structure": "2:4",
        "targets": ["Linear"],
    }
    return lambda found: {"quant_method": "compressed-tensors", "format": "dense", **found, "sparsity_config": sparsity}


def uncompressed(found: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration whose weights are stored plain; nothing where that was all it said."""
    left = {key: value for key, value in found.items() if key != "sparsity_config"}
    return left if left.get("config_groups") else {}


def _others(source: Checkpoint, out: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the files of a folder that hold no weights of the checkpoint, each with its path inside."""
    shards, target = {file.name for file in source.files}, out.resolve()
    for path in sorted(source.path.rglob("*")):
        inside = path.relative_to(source.path)
        hidden = any(part.startswith(".") for part in inside.parts)
        mine = str(inside) in shards or target == path.resolve() or target in path.resolve().parents
        if path.is_file() and not hidden and not mine:
            yield path, inside


def _is_safetensors(path: Path) -> bool:
    return path.suffix.lower() == ".safetensors"
