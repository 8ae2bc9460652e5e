"""``open_checkpoint``: the one door to files of weights. Nothing is ever unpickled."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stcsim.checkpoint.folder import config_of, shards_of
from stcsim.checkpoint.layouts import seen_through
from stcsim.checkpoint.npz_file import read_npz
from stcsim.checkpoint.safetensors_file import read_safetensors
from stcsim.checkpoint.stored import StoredTensor
from stcsim.checkpoint.use import Use
from stcsim.errors import StcsimError, quoted

PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")
FORMATS = (".safetensors", ".onnx", ".npz")
_CONVERT = "save it with safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"


class Checkpoint(Mapping[str, StoredTensor]):
    """The tensors of an open checkpoint by name, and what stands beside them. Close it, or use it in ``with``.

    Attributes:
        path: what was opened.
        files: the files that hold the tensors.
        nbytes: of all these files.
        config: what ``config.json`` of a folder says, with ``quantization_config`` and ``sparsity_config`` where there are any.
        uses: what operators use a tensor for, by its name, where the file has a graph (ONNX); empty for other formats.
    """

    def __init__(
        self,
        path: Path,
        tensors: Mapping[str, StoredTensor],
        files: tuple[Path, ...],
        stack: ExitStack,
        config: Mapping[str, Any] | None = None,
        uses: Mapping[str, Use] | None = None,
    ) -> None:
        """Keep the tensors; ``stack`` closes the files."""
        self.path, self.files, self.config, self.uses = path, files, dict(config or {}), dict(uses or {})
        self.nbytes = sum(file.stat().st_size for file in files)
        self._tensors, self._stack = dict(tensors), stack

    def __getitem__(self, name: str) -> StoredTensor:
        """Return the tensor called ``name``."""
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names in the order of the bytes."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """Return how many tensors there are."""
        return len(self._tensors)

    def __enter__(self) -> Checkpoint:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self.close()

    def close(self) -> None:
        """Close the files; arrays that were handed out stay valid."""
        self._stack.close()


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a file of weights: ``.safetensors``, a Hugging Face folder, ``.onnx`` or ``.npz``.

    Weights in layouts of compressed-tensors (``sparse-24-bitmask``, ``sparse-bitmask``, ``marlin-24``, ``pack-quantized``) stand
    under the name of the weight, as the network has it. Reading is lazy: opening reads headers only.

    Raises:
        StcsimError: when nothing can be read there, the file is not whole, or it is a pickle.
    """
    where = Path(path)
    try:
        return _opened(where)
    except OSError as error:  # a name too long, a folder that may not be looked into
        found = (error.strerror or str(error)).lower()
        raise StcsimError(str(where), "a file of weights, or a folder with a model", found) from None


def _opened(where: Path) -> Checkpoint:
    """Return the checkpoint at a path, by what its name ends in."""
    if where.is_dir():
        return _folder(where)
    ending = where.suffix.lower()
    if ending in PICKLES:
        found = f"a pickle ('{ending}'), which runs code when it is read; {_CONVERT}"
        raise StcsimError(str(where), f"a file that ends in {' or '.join(FORMATS)}", found)
    if not where.is_file():
        raise StcsimError(str(where), "a file of weights, or a folder with a model", "no such file")
    if ending not in FORMATS:
        found = quoted(ending) if ending else "a name without an ending"
        raise StcsimError(str(where), f"a file that ends in {', '.join(FORMATS)}, or a folder", found)
    if ending == ".onnx":
        return _onnx(where)
    with ExitStack() as stack:
        file, tensors = (read_npz if ending == ".npz" else read_safetensors)(where)
        stack.callback(file.close)
        seen = seen_through(tensors, str(where))
        return Checkpoint(where, seen, (where,), stack.pop_all())


def _onnx(path: Path) -> Checkpoint:
    if find_spec("onnx") is None:
        raise StcsimError(str(path), "the onnx package (pip install 'stcsim[onnx]')", "none")
    from stcsim.checkpoint.onnx_file import read_onnx

    with ExitStack() as stack:
        tensors, files, uses = read_onnx(path, stack)
        return Checkpoint(path, tensors, (path, *files), stack.pop_all(), uses=uses)


def _folder(folder: Path) -> Checkpoint:
    config, shards = config_of(folder), shards_of(folder)
    tensors: dict[str, StoredTensor] = {}
    homes: dict[str, Path] = {}
    with ExitStack() as stack:
        for path, expected in shards.items():
            file, found = read_safetensors(path)
            stack.callback(file.close)
            if lacking := [name for name in expected or () if name not in found]:
                raise StcsimError(str(path), f"{lacking[0]}, which the index places there", "no such tensor")
            if twice := [name for name in found if name in homes]:
                other = homes[twice[0]].name
                raise StcsimError(str(path), "every tensor in one shard", f"{twice[0]}, which is in {other} too")
            tensors |= found
            homes |= dict.fromkeys(found, path)
        return Checkpoint(folder, seen_through(tensors, str(folder)), tuple(shards), stack.pop_all(), config)
