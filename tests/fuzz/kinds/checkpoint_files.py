"""Small checkpoints to damage: safetensors in every layout that is known, archives of numpy, folders of shards."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.fuzz import damage
from tests.unit.checkpoints import drawn, header, pruned

Arrays = dict[str, Any]
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Whole:
    """A checkpoint that is right: arrays of each of its files, and what safetensors calls types that numpy does not tell."""

    files: Mapping[str, Arrays]
    types: Mapping[str, str]
    config: Mapping[str, Any] | None = None

    @property
    def target(self) -> str:
        """What is opened: a file, or the folder of several."""
        return next(iter(self.files)) if self.config is None else "model"


def plain() -> Whole:
    """Return the layers of a small network, in several types."""
    arrays: Arrays = {
        "a.q_proj.weight": drawn(32, 64, seed=1),
        "a.o_proj.weight": pruned(64, 32, seed=2),
        "conv.weight": drawn(16, 8, 3, 3, dtype="float32", seed=3),
        "conv.bias": drawn(16, dtype="float32"),
        "embed.weight": drawn(10, 16, seed=4),
        "norm.weight": drawn(64, seed=5),
        "fp8.weight": drawn(16, 32, seed=6).view("uint8")[:, ::2].copy(),
        "half.weight": drawn(16, 32, seed=7).view("uint16"),
        "steps": drawn(1).astype("int64")[0],
        "empty": drawn(0, 4),
    }
    return Whole({"x.safetensors": arrays}, {"fp8.weight": "F8_E4M3"})


def compressed() -> Whole:
    """Return weights in each layout in which one is several tensors."""
    import numpy as np

    from stcsim.checkpoint.bitmask import pack_bitmask
    from stcsim.checkpoint.marlin import pack_marlin
    from stcsim.checkpoint.packed import pack_integers
    from stcsim.numerics import prune

    bits = pack_bitmask(pruned(8, 32), "fp16")
    whole = (np.arange(64 * 64) % 15 - 7).reshape(64, 64).astype(np.int8)
    marlin = pack_marlin(prune(np.where(whole == 0, 1, whole).astype(np.int8)), 4)
    loose = drawn(4, 16)
    keep = np.arange(64).reshape(4, 16) % 3 == 0
    arrays: Arrays = {
        "b.compressed": bits.compressed, "b.bitmask": bits.bitmask, "b.shape": np.array([8, 32], np.int64),
        "u.compressed": loose[keep], "u.bitmask": np.packbits(keep, axis=1, bitorder="little"), "u.shape": np.array([4,
        16], np.int64),
        "u.row_offsets": np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int64),
        "m.weight_packed": marlin.weight_packed, "m.meta": marlin.meta, "m.scale_packed": drawn(1, 64),
        "i.weight_packed": pack_integers(whole[:8], 4), "i.weight_shape": np.array([8, 64], np.int64),
        "i.weight_scale": drawn(8, 1),
        "n.weight_packed": drawn(8, 16).view(np.uint8), "n.weight_global_scale": drawn(1, dtype="float32"),
    }  # fmt: skip
    return Whole({"x.safetensors": arrays}, {})


def archive() -> Whole:
    """Return an archive of numpy."""
    import numpy as np

    arrays = {
        "fc1.weight": drawn(16, 32),
        "fc2.weight": pruned(32, 16),
        "big": drawn(4, 4).astype(">f4"),
        "mask": np.ones((4, 8), bool),
    }
    return Whole({"x.npz": {**arrays, "columns": np.asfortranarray(drawn(8, 8)), "one": np.float32(3)}}, {})


def folder() -> Whole:
    """Return two shards with an index and a configuration."""
    first = {"l.0.up_proj.weight": drawn(32, 16, seed=1), "l.0.gate_proj.weight": drawn(32, 16, seed=2)}
    second = {"l.0.down_proj.weight": drawn(16, 32, seed=3), "lm_head.weight": drawn(12, 16, seed=4)}
    config = {"model_type": "llama", "hidden_size": 16, "num_attention_heads": 2, "num_experts_per_tok": 2}
    return Whole({"model/a.safetensors": first, "model/b.safetensors": second}, {}, config)


_NPY_HEADERS = (
    "{'descr': '<f2', 'fortran_order': False, 'shape': (1000000000000000000,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '<f2', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f2', 'fortran_order': 1, 'shape': (2, 2), }",
    "{'descr': [('a', '<f2')], 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '<f2', 'shape': (4,)}",
    "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '<f2', 'fortran_order': False, 'shape': 4, }",
    "{'descr': 'a' * 9, 'fortran_order': False, 'shape': (True, 4), }",
    "{'descr': '<f2', 'fortran_order': False, 'shape': (2**63, 2**63), }",
    "(" * 300,
    "",
    "1",
    "__import__('os')",
)

MAKERS = (plain, compressed, archive, folder)


def safetensors_bytes(entries: object, arrays: Arrays, length: int | None = None) -> bytes:
    """Return a file of a header, right or wrong, and the bytes of arrays."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode("utf-8", "surrogatepass")
    body = b"".join(array.tobytes() for array in arrays.values())
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def npz_bytes(arrays: Mapping[str, Any], stored: bool = True) -> bytes:
    """Return an archive of numpy."""
    import numpy as np

    out = io.BytesIO()
    (np.savez if stored else np.savez_compressed)(out, **arrays)
    return out.getvalue()


def written(whole: Whole) -> dict[str, bytes]:
    """Return the files of a checkpoint, nothing damaged."""
    files = {
        name: npz_bytes(arrays) if name.endswith(".npz") else safetensors_bytes(header(arrays, whole.types), arrays)
        for name, arrays in whole.files.items()
    }
    if whole.config is not None:
        files["model/config.json"] = json.dumps(whole.config).encode()
        files[f"model/{_INDEX}"] = json.dumps(_index(whole)).encode()
    return files


def _index(whole: Whole) -> dict[str, Any]:
    places = {name: path.rpartition("/")[2] for path, arrays in whole.files.items() for name in arrays}
    return {"metadata": {"total_size": 1}, "weight_map": places}


def damaged(rng: random.Random, whole: Whole, part: str) -> dict[str, bytes]:
    """Return the files of a checkpoint, one of them damaged: its ``header``, its ``bytes``, its ``arrays``, or the ``index``."""
    files = written(whole)
    if part == "index" and whole.config is not None:
        name = rng.choice([f"model/{_INDEX}", "model/config.json"])
        tree = _index(whole) if name.endswith(_INDEX) else dict(whole.config)
        files[name] = _json(rng, tree)
        if rng.random() < 0.1:
            del files[rng.choice(list(files))]
        return files
    name = rng.choice(list(whole.files))
    arrays = dict(whole.files[name])
    if part == "arrays":
        types = dict(whole.types)
        for _ in range(rng.randint(1, 3)):
            _change(rng, arrays, types)
        is_archive = name.endswith(".npz")
        files[name] = npz_bytes(arrays, rng.random() < 0.5) if is_archive else safetensors_bytes(header(arrays, types), arrays)
    elif part == "header" and not name.endswith(".npz"):
        length = rng.choice((None, None, None, None, 0, 1, 8, 2**40, 2**63, 2**64 - 1))
        files[name] = safetensors_bytes(_json(rng, header(arrays, whole.types)), arrays, length)
    elif part == "header":
        files[name] = _forged(rng, files[name])
    else:
        files[name] = damage.raw(rng, files[name])
    return files


def _json(rng: random.Random, tree: Any) -> bytes:
    if rng.random() < 0.2:
        return damage.text(rng, json.dumps(tree))
    return damage.dumps(rng, damage.tree(rng, tree))


def _change(rng: random.Random, arrays: Arrays, types: dict[str, str]) -> None:
    """Exchange an array for one of another shape, type or content, or name it otherwise."""
    import numpy as np

    if not arrays:
        return
    name, pick = rng.choice(list(arrays)), rng.random()
    array = np.array(arrays[name])
    if pick < 0.2:
        del arrays[name]
    elif pick < 0.35:
        other = rng.choice((*damage.TEXTS[2:16], name[:-1] or "x", f"{name}.weight", rng.choice(list(arrays))))
        arrays[other] = arrays.pop(name)
    elif pick < 0.55:
        arrays[name] = np.zeros(
            tuple(rng.choice((0, 1, 2, 3, 4, 8, 16)) for _ in range(rng.choice((0, 1, 2, 2, 3, 4)))), array.dtype
        )
    elif pick < 0.7:
        arrays[name] = array.astype(rng.choice(("float32", "float16", "int8", "uint8", "int64", "int32", "uint16", "int16")))
        types.pop(name, None)
    elif pick < 0.85 and array.size:
        flat = np.frombuffer(bytearray(array.tobytes()), np.uint8)
        flat[[rng.randrange(flat.size) for _ in range(rng.randint(1, 8))]] = rng.randrange(256)
        arrays[name] = flat.view(array.dtype).reshape(array.shape)
    elif array.dtype.kind == "f" and array.size:
        array.reshape(-1)[rng.randrange(array.size)] = rng.choice((np.nan, np.inf, -np.inf, -0.0))
        arrays[name] = array


def _forged(rng: random.Random, data: bytes) -> bytes:
    """Return an archive, one member of which says other things of itself than are so."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", rng.choice((0, 8))) as new:
        members = old.namelist()
        chosen = rng.choice(members)
        for name in members:
            content = old.read(name)
            if name == chosen:
                content = _npy(rng, content)
            new.writestr(rng.choice((name, name, name, name[:-4], f"../{name}", members[0])) if name == chosen else name, content)
    return out.getvalue()


def _npy(rng: random.Random, content: bytes) -> bytes:
    """Return an array of numpy with another header before its bytes."""
    size = int.from_bytes(content[8:10], "little")
    text = rng.choice(_NPY_HEADERS).encode().ljust(max(size, 54)) + b"\n"
    made = content[:6] + rng.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    length = len(text).to_bytes(2 if made[6] == 1 else 4, "little")
    return made + length + text + content[10 + size :]
