"""Inputs of single instructions, drawn from a seed as they were for the GPU, and results as the GPU's registers hold them.

``probe.cu`` ran each instruction on these register images. Only hashes of the results are kept, in ``instructions.json``: 32,768
results for each instruction and class of inputs. Lane = 4 * g + t.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim import numerics
from stcsim.isa import instructions
from stcsim.numerics.sparse.layouts import RegisterImage, from_register_image

Words = npt.NDArray[np.uint32]

HERE = Path(__file__).parent
CLASSES = ("ints", "normal", "wide", "c0", "bits")
"""Small integers (exact in any order: they check the layout), normal numbers, such numbers times 2^-6 to 2^6 (s8: C near the ends
of its range), C = 0, and uniformly random bits, with infinities, NaN and subnormals."""
DATE = 20261127
LANE = np.arange(32)
G, T = LANE // 4, LANE % 4


@dataclass(frozen=True)
class Probe:
    """One kernel of ``probe.cu``: its number there, the instruction, bits of an element, and whether B lies in shared memory."""

    number: int
    instruction: str
    element: str
    half: bool = False

    @property
    def bits(self) -> int:
        return {"f16": 16, "bf16": 16, "tf32": 32}.get(self.element, 8)

    @property
    def dtype(self) -> str:
        return {"f16": "uint16", "bf16": "uint16", "tf32": "uint32"}.get(self.element, "uint8")

    @property
    def warps(self) -> int:
        return 4 if self.instruction.startswith("wgmma") else 1

    @property
    def tiles(self) -> int:
        return 64 if self.warps == 4 else 256

    @property
    def sparse(self) -> bool:
        return instructions.parse(self.instruction).sparse


PROBES = (
    Probe(0, "mma.sp.m16n8k32.f32.f16.f16.f32", "f16"),
    Probe(1, "mma.sp.m16n8k32.f32.bf16.bf16.f32", "bf16"),
    Probe(2, "mma.sp.m16n8k16.f32.tf32.tf32.f32", "tf32"),
    Probe(3, "mma.sp.m16n8k64.f32.e4m3.e4m3.f32", "e4m3"),
    Probe(4, "mma.sp.m16n8k64.s32.s8.s8.s32", "s8"),
    Probe(5, "mma.sp.m16n8k64.f32.e5m2.e5m2.f32", "e5m2"),
    Probe(6, "mma.sp.m16n8k64.satfinite.s32.s8.s8.s32", "s8"),
    Probe(7, "mma.sp.m16n8k32.f16.f16.f16.f16", "f16", half=True),
    Probe(10, "wgmma.sp.m64n8k32.f32.f16.f16", "f16"),
    Probe(11, "wgmma.sp.m64n8k32.f32.bf16.bf16", "bf16"),
    Probe(12, "wgmma.sp.m64n8k64.f32.e4m3.e4m3", "e4m3"),
    Probe(13, "wgmma.sp.m64n8k64.f32.e5m2.e5m2", "e5m2"),
    Probe(14, "wgmma.sp.m64n8k16.f32.tf32.tf32", "tf32"),
    Probe(16, "wgmma.m64n8k16.f32.f16.f16", "f16"),
    Probe(17, "wgmma.m64n8k32.f32.e4m3.e4m3", "e4m3"),
    Probe(20, "mma.m16n8k16.f32.f16.f16.f32", "f16"),
    Probe(21, "mma.m16n8k16.f32.bf16.bf16.f32", "bf16"),
    Probe(22, "mma.m16n8k8.f32.tf32.tf32.f32", "tf32"),
    Probe(23, "mma.m16n8k32.f32.e4m3.e4m3.f32", "e4m3"),
    Probe(24, "mma.m16n8k32.f32.e5m2.e5m2.f32", "e5m2"),
)


@dataclass(frozen=True)
class Registers:
    """What the lanes held: A, B and C, four registers each, and the metadata."""

    a: Words
    b: Words
    c: Words
    metadata: Words

    def hash(self) -> str:
        return digest(self.a, self.b, self.c, self.metadata)


def recorded() -> dict[str, dict[str, dict[str, str]]]:
    """Return hashes by instruction and class of inputs: of the ``inputs``, and of the ``results`` that the GPU gave."""
    found: dict[str, dict[str, dict[str, str]]] = json.loads((HERE / "instructions.json").read_text())
    return found


def draw(probe: Probe, kind: str) -> Registers:
    """Return the register images of one class of inputs."""
    rng = np.random.default_rng([probe.number, CLASSES.index(kind), DATE])
    lanes = probe.tiles * 32 * probe.warps
    a = _operand(rng, probe, kind, lanes)
    b = _operand(rng, probe, kind, probe.tiles * 32)
    c = _addend(rng, probe, kind, lanes)
    encodings = np.array([4, 14] if probe.element == "tf32" else [4, 8, 9, 12, 13, 14], np.uint32)
    nibbles = encodings[rng.integers(0, len(encodings), (lanes, 8))]
    return Registers(a, b, c * np.uint32(kind != "c0"), _joined(nibbles, 4).reshape(-1))


def simulate(probe: Probe, registers: Registers, blocking: str = "kept") -> Words:
    """Return the registers of D that the datapath gives."""
    b, c = _b(probe, registers.b), _c(probe, registers.c)
    if not probe.sparse:
        return _d(probe, numerics.mma(probe.instruction, _dense_a(probe, registers.a), b, c, arch="h200"))
    lanes = (probe.tiles, 32 * probe.warps)
    image = RegisterImage(probe.instruction, 0, registers.a.reshape(*lanes, 4), registers.metadata.reshape(lanes))
    return _d(probe, numerics.mma_sp(probe.instruction, from_register_image(image), b, c, arch="h200", blocking=blocking))


def digest(*arrays: npt.NDArray[Any]) -> str:
    """Return one hash of arrays of words."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(each, "<u4").tobytes() for each in arrays)).hexdigest()


def _operand(rng: np.random.Generator, probe: Probe, kind: str, lanes: int) -> Words:
    """Draw A or B."""
    if kind == "bits":
        return rng.integers(0, 2**32, lanes * 4, dtype=np.uint64).astype(np.uint32).reshape(lanes, 4)
    shape = lanes, 4 * 32 // probe.bits
    if kind == "ints":
        return _coded(rng.integers(-4, 5, shape).astype(float), probe.element).reshape(lanes, 4)
    numbers = rng.standard_normal(shape) * (40 if probe.element == "s8" else 1)
    if kind == "wide" and probe.element != "s8":
        numbers *= np.exp2(rng.integers(-6, 7, shape))
    return _coded(numbers, probe.element).reshape(lanes, 4)


def _addend(rng: np.random.Generator, probe: Probe, kind: str, lanes: int) -> Words:
    """Draw C."""
    shape = lanes, 4
    if probe.element == "s8":
        return _integer_addend(rng, kind, shape).astype(np.int32).view(np.uint32)
    if kind == "bits":
        return rng.integers(0, 2**32, shape, dtype=np.uint64).astype(np.uint32)
    wide = (lanes, 8) if probe.half else shape
    numbers = rng.integers(-8, 9, wide) if kind == "ints" else rng.standard_normal(wide)
    return np.ascontiguousarray(numbers.astype(np.float16 if probe.half else np.float32)).view(np.uint32)


def _integer_addend(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Draw C of integers: near both ends of its range where clamping is to be seen."""
    if kind == "bits":
        return rng.integers(-(2**31), 2**31, shape)
    if kind != "wide":
        return rng.integers(-999, 999, shape)
    upper = rng.random(shape) < 0.5
    return np.where(upper, 2**31 - 1 - rng.integers(0, 20000, shape), -(2**31) + rng.integers(0, 20000, shape))


def _coded(numbers: npt.NDArray[np.float64], element: str) -> Words:
    """Return numbers as codes in whole registers; fp8 is truncated towards zero."""
    if element == "f16":
        return numbers.astype(np.float16).view(np.uint32)
    if element == "bf16":
        return (numbers.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint32)
    if element == "tf32":
        return numbers.astype(np.float32).view(np.uint32)
    if element == "s8":
        return np.clip(np.rint(numbers), -128, 127).astype(np.int8).view(np.uint32)
    codes = np.arange(0x7F if element == "e4m3" else 0x7C, dtype=np.uint8)
    table = np.asarray(numerics.values(codes, element), np.float64)
    below = np.clip(np.searchsorted(table, np.abs(numbers), side="right") - 1, 0, len(table) - 1)
    return (below | (np.signbit(numbers) << 7)).astype(np.uint8).view(np.uint32)


def _fields(words: Words, bits: int) -> Words:
    """Split each word into fields on a new last axis, the lowest first."""
    return (words[..., None] >> np.arange(0, 32, bits, dtype=np.uint32)) & np.uint32(2**bits - 1)


def _joined(fields: npt.NDArray[Any], bits: int) -> Words:
    """Join fields of the last axis into words. Inverse of ``_fields``."""
    parts = fields.astype(np.uint32).reshape(*fields.shape[:-1], -1, 32 // bits)
    return np.bitwise_or.reduce(parts << np.arange(0, 32, bits, dtype=np.uint32), axis=-1, dtype=np.uint32)


def _dense_a(probe: Probe, words: Words) -> npt.NDArray[Any]:
    """Return A, (tiles, m, k), of a dense instruction: register r holds row g + 8 (r mod 2) and columns 4 (r div 2) + t on."""
    each = 32 // probe.bits
    held = _fields(words.reshape(probe.tiles, probe.warps, 32, 4), probe.bits)
    a = np.zeros((probe.tiles, probe.warps, 16, 8 * each), np.uint32)
    for register in range(4):
        for at in range(each):
            a[:, :, G + 8 * (register % 2), (4 * (register // 2) + T) * each + at] = held[:, :, :, register, at]
    return a.reshape(probe.tiles, -1, 8 * each).astype(probe.dtype)


def _b(probe: Probe, words: Words) -> npt.NDArray[Any]:
    """Return B, (tiles, k, 8): registers of one warp, or core matrices of 8 rows of 16 bytes in shared memory for wgmma."""
    each, registers = 32 // probe.bits, 4 if probe.sparse else 2
    held = _fields(words.reshape(probe.tiles, 32, 4), probe.bits)
    if probe.warps == 4:
        cores = held.reshape(probe.tiles, 4, 8, 4 * each)[:, :registers]
        return cores.transpose(0, 1, 3, 2).reshape(probe.tiles, -1, 8).astype(probe.dtype)
    b = np.zeros((probe.tiles, 4 * registers * each, 8), np.uint32)
    for register in range(registers):
        for at in range(each):
            b[:, (4 * register + T) * each + at, G] = held[:, :, register, at]
    return b.astype(probe.dtype)


def _c(probe: Probe, words: Words) -> npt.NDArray[Any]:
    """Return C, (tiles, m, 8), of codes or int32 numbers: register r holds row g + 8 (r div 2), column 2 t + r mod 2."""
    held = words.reshape(probe.tiles, probe.warps, 32, 4)
    flat = _fields(held[..., :2], 16).reshape(*held.shape[:-1], 4) if probe.half else held
    c = np.zeros((probe.tiles, probe.warps, 16, 8), np.uint32)
    for register in range(4):
        c[:, :, G + 8 * (register // 2), 2 * T + register % 2] = flat[..., register]
    codes = c.reshape(probe.tiles, -1, 8)
    return codes.view(np.int32) if probe.element == "s8" else codes.astype(np.uint16 if probe.half else np.uint32)


def _d(probe: Probe, d: npt.NDArray[Any]) -> Words:
    """Return the registers of D, as C lies; of fp16 results the last two of four are zero."""
    rows = (d.view(np.uint32) if d.dtype == np.int32 else d.astype(np.uint32)).reshape(probe.tiles, probe.warps, 16, 8)
    held = np.stack([rows[:, :, G + 8 * (each // 2), 2 * T + each % 2] for each in range(4)], axis=-1)
    if probe.half:
        pairs = _joined(held, 16)
        held = np.concatenate([pairs, np.zeros_like(pairs)], axis=-1)
    return held.reshape(-1, 4)
