"""Ways to damage a file: its bytes, a text's tokens, the tree of JSON, an archive's arrays, the header of weights."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Random = np.random.Generator

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1.5, -0.0, 1e308, -1e308, 1e-320, 10** 9, 10** 18, 10** 30, float("nan"),
    float("inf"), "", "a", "a" * 5000, "../../x", "/dev/zero", "nan", "1e999999", "\x1b[31m", "two\nlines",
    "\u202e", "\x00", "走" * 90, [], {}, [1, "a"], [[]], {"a": 1}, [1e308] * 3, "[" * 2000,
)  # fmt: skip
TOKENS = (
    "", "0", "-1", "1e308", "-1e308", "1e999999", "nan", "NaN", "inf", "Infinity", "null", "true",
    "99999999999999999999999", "'x'", '"x"', "[", "]", "{", "}", "[[", ",", ":", "\n", "\t", "\x00", "\x1b[31m",
    "é", "走", "../../x", "[" * 3000, "a" * 5000, "1" * 5000, "0x10", "1_000", "<a>", "&amp;",
    "!!python/object:os.system", "%YAML:1.0", "=", "#",
)  # fmt: skip


def damage_bytes(path: Path, rng: Random) -> None:
    """Flip, cut, blank, repeat or insert bytes."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.integers(1, 4)):
        if not content:
            break
        at, length = int(rng.integers(len(content))), int(rng.integers(1, 64))
        match rng.integers(6):
            case 0:
                content[at] ^= 1 << int(rng.integers(8))
            case 1:
                del content[at:]
            case 2:
                content[at : at + length] = bytes(min(length, len(content) - at))
            case 3:
                content[at:at] = content[at : at + length]
            case 4:
                content[at:at] = rng.bytes(length)
            case 5:
                content[at : at + 8] = struct.pack("<q", int(rng.choice([-1, 2**31, 2**40, 2**62])))
    path.write_bytes(content)


def damage_text(path: Path, rng: Random) -> None:
    """Put another token in the place of one, or drop, double or cut a line."""
    text = path.read_text(encoding="utf-8")
    for _ in range(rng.integers(1, 3)):
        tokens = list(re.finditer(r"-?\d+(\.\d+)?|\w+|\S", text))
        if not tokens:
            break
        token = tokens[rng.integers(len(tokens))]
        lines = text.splitlines(keepends=True)
        at = int(rng.integers(len(lines)))
        match rng.integers(6):
            case 0 | 1 | 2:
                text = text[: token.start()] + str(rng.choice(TOKENS)) + text[token.end() :]
            case 3:
                text = "".join(lines[:at] + lines[at + 1 :])
            case 4:
                text = "".join(lines[: at + 1] + lines[at:])
            case 5:
                text = text[: token.start()]
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))


def damaged_tree(tree: Any, rng: Random) -> Any:
    """A tree of dicts and lists with something odd in it, or without something."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict | list):
            for key in list(node) if isinstance(node, dict) else range(len(node)):
                places.append((node, key))
                walk(node[key])

    walk(tree)
    if not places or rng.random() < 0.05:
        return ODD[rng.integers(len(ODD))]
    # Every key as often as another, whatever the lengths of lists.
    names = sorted({str(key) if isinstance(node, dict) else "" for node, key in places})
    name = names[rng.integers(len(names))]
    chosen = [place for place in places if (str(place[1]) if isinstance(place[0], dict) else "") == name]
    node, key = chosen[rng.integers(len(chosen))]
    match rng.integers(6):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[str(ODD[rng.integers(len(ODD))])] = node.pop(key)
        case 2 if isinstance(node, list):
            node.append(node[key])
        case _:
            node[key] = ODD[rng.integers(len(ODD))]
    return tree


def damage_json(path: Path, rng: Random) -> None:
    tree = damaged_tree(json.loads(path.read_text(encoding="utf-8")), rng)
    path.write_text(json.dumps(tree), encoding="utf-8")


def damage_glb(path: Path, rng: Random) -> None:
    """Damage the JSON of a binary glTF, whose numbers follow it."""
    content = path.read_bytes()
    length = int.from_bytes(content[12:16], "little")
    tree = damaged_tree(json.loads(content[20 : 20 + length]), rng)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    path.write_bytes(content[:12] + len(text).to_bytes(4, "little") + content[16:20] + text + content[20 + length :])


def damaged_array(array: np.ndarray, rng: Random) -> np.ndarray:
    """Another shape, another type, or odd numbers in it."""
    with np.errstate(all="ignore"):
        match rng.integers(12):
            case 0:
                return array[: len(array) // 2] if array.ndim else array[None]
            case 1:
                return array[None]
            case 2:
                return np.concatenate([array, array]) if array.ndim else array
            case 3:
                return array.T
            case 4:
                return np.array(array.flat[0]) if array.size else array[None]
            case 5:
                return array[..., :0] if array.ndim else array
            case 6:
                return (
                    array.astype(rng.choice(["<U8", "M8[s]", "?", "c16", "S4", "V4"]))
                    if array.dtype.kind != "U"
                    else array
                )
            case 7:
                return array[::-1] if array.ndim else array
            case _ if array.dtype.kind in "fiu" and array.size:
                odd = array.astype(rng.choice(["f4", "f8"])) if array.dtype.kind == "f" else array.copy()
                chosen = rng.random(odd.shape) < rng.choice([1 / odd.size, 0.2, 1.0])
                values = (
                    [np.nan, np.inf, -np.inf, 1e30, -1e30, 0, -1]
                    if odd.dtype.kind == "f"
                    else [0, -1, 2**31 - 1, -(2**31)]
                )
                odd[chosen] = np.array(rng.choice(values)).astype(odd.dtype)
                return odd
    return array


def damage_npz(path: Path, rng: Random) -> None:
    """Damage an array, a header, an archive's entry, or what an entry claims."""
    with np.load(path) as file:
        arrays = dict(file)
    name = str(rng.choice(list(arrays)))
    match rng.integers(8):
        case 0:
            del arrays[name]
        case 1:
            _claim(path, name, rng)
            return
        case 2 | 3 if "header" in arrays:
            tree = damaged_tree(json.loads(str(arrays["header"])), rng)
            arrays["header"] = np.array(json.dumps(tree).replace("\x00", "\\u0000"))
        case _:
            arrays[name] = damaged_array(arrays[name], rng)
    np.savez(path, **arrays)


def _claim(path: Path, name: str, rng: Random) -> None:
    """Let an array claim a shape that it does not have, or an entry be packed in an odd way."""
    with zipfile.ZipFile(path) as old:
        members = {entry: old.read(entry) for entry in old.namelist()}
    header = io.BytesIO()
    shape = (int(rng.choice([0, -1, 2**20, 2**33, 2**62])), 17, 3)
    dtype = str(rng.choice(["<f4", "<f8", "|O", "<U1000000"]))
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    members[f"{name}.npy"] = header.getvalue() + bytes(int(rng.choice([0, 100, 1 << 20])))
    packing = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(path, "w", int(packing)) as new:
        for entry, content in members.items():
            new.writestr(entry, content)


def damage_npy(path: Path, rng: Random) -> None:
    np.save(path, damaged_array(np.load(path), rng))


def damage_weights(path: Path, rng: Random) -> None:
    """Damage the header's JSON or a tensor of a safetensors file."""
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    with safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()["vidpose"])
    tensors = load_file(path)
    if rng.random() < 0.6:
        header = damaged_tree(header, rng)
    else:
        name = str(rng.choice(list(tensors)))
        tensors[name] = np.ascontiguousarray(damaged_array(tensors[name], rng))
        if tensors[name].dtype.kind not in "fiub":
            del tensors[name]
    save_file(tensors, path, metadata={"vidpose": json.dumps(header)})


def damage_checkpoint(path: Path, rng: Random) -> None:
    """Damage a value of a pickled checkpoint, or a tensor of it."""
    import torch

    state = torch.load(path, weights_only=True)
    if rng.random() < 0.5:
        state = damaged_tree(state, rng)
    else:
        found: list[tuple[Any, Any]] = []

        def walk(node: Any) -> None:
            for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
                if isinstance(node[key], torch.Tensor):
                    found.append((node, key))
                walk(node[key])

        walk(state)
        node, key = found[rng.integers(len(found))]
        array = damaged_array(node[key].numpy(), rng)
        match rng.integers(4):
            case 0:
                node[key] = torch.empty(node[key].shape, device="meta")
            case 1:
                node[key] = node[key].to_sparse() if node[key].ndim else node[key]
            case 2:
                node[key] = node[key].expand(1000, *node[key].shape)
            case _ if array.dtype.kind in "fiub":
                node[key] = torch.from_numpy(np.ascontiguousarray(array))
    torch.save(state, path)


Damage = Callable[[Path, Random], None]
