"""Files of named arrays in the safetensors format: a JSON header, then the bytes; no code in them.

A file is the length of the header in eight bytes, the header, and the arrays, dense, row-major and
little-endian. The header has for each name the type, the shape and the first and last byte + 1 of
its array, which together cover all that follows.
"""

from __future__ import annotations

import json
import math
import os

import numpy as np

from .._checks import state_arrays

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import ArrayLike

_TYPES = {"BF16": "<u2", "BOOL": "|b1", "I8": "|i1", "U8": "|u1"}
_TYPES |= {f"{kind}{8 * n}": f"<{kind.lower()}{n}" for n in (2, 4, 8) for kind in "FIU"}
_NAMES = {text: name for name, text in _TYPES.items() if name != "BF16"}
_LONGEST_HEADER = 100_000_000


def write_safetensors(path: str | os.PathLike[str], state: Mapping[str, ArrayLike]) -> None:
    """Write arrays by name, such as a `state_dict()`, into a safetensors file.

    Parameters
    ----------
    path : str or path of the file, which is overwritten
    state : mapping of str to array_like

    Raises
    ------
    TypeError : state is no mapping, or one of its values no plain array of numbers or bools;
        nothing has been written.

    Examples
    --------
    >>> import tempfile
    >>> from convlet import models, states
    >>> model, other = models.digits(rng=0), models.digits(rng=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     states.write_safetensors(f"{folder}/digits.safetensors", model.state_dict())
    ...     other.load_state_dict(states.read_safetensors(f"{folder}/digits.safetensors"))
    >>> bool((model[0].weight.value == other[0].weight.value).all())
    True
    """
    arrays = {}
    for name, value in state_arrays(state, "write_safetensors").items():
        little = np.asarray(value, value.dtype.newbyteorder("<"), order="C")
        if little.dtype.str not in _NAMES:
            raise TypeError(
                f"write_safetensors: {name} has dtype {value.dtype}, expected one of "
                f"{', '.join(str(np.dtype(text)) for text in _NAMES)}"
            )
        arrays[str(name)] = little
    # the widest types first, so that every array begins at a multiple of its element's size
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {}
    end = 0
    for name in order:
        a = arrays[name]
        begin, end = end, end + a.nbytes
        header[name] = {
            "dtype": _NAMES[a.dtype.str],
            "shape": list(a.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            file.write(arrays[name].tobytes())


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of a safetensors file.

    Parameters
    ----------
    path : str or path of the file

    Returns
    -------
    state : dict of str to ndarray, in the order of the header; bfloat16 comes as float32, which has
        all its values, and metadata is passed over

    Raises
    ------
    OSError : the file cannot be read.
    ValueError : it is no safetensors file, or a broken one; the message says where.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from convlet import states
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     states.write_safetensors(f"{folder}/x.safetensors", {"x": np.eye(2, dtype="f4")})
    ...     states.read_safetensors(f"{folder}/x.safetensors")
    {'x': array([[1., 0.],
           [0., 1.]], dtype=float32)}
    """
    with open(path, "rb") as file:
        content = file.read()
    try:
        return _parse(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)}: no whole safetensors file: {error}") from error


def _parse(content):
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, _LONGEST_HEADER):
        raise ValueError(f"{len(content)} bytes, with a header of {length}")
    header = json.loads(str(content[8 : 8 + length], "utf-8"))
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    header.pop("__metadata__", None)
    data = memoryview(content)[8 + length :]
    spans = sorted(_span(name, entry) for name, entry in header.items())
    reached = 0
    for begin, end, name in spans:
        if begin != reached:
            raise ValueError(f"{name} begins at byte {begin}, expected {reached}")
        reached = end
    if reached != len(data):
        raise ValueError(f"{len(data)} bytes of arrays, expected {reached}")
    return {name: _array(entry, data) for name, entry in header.items()}


def _span(name, entry):
    """Return (begin, end, name) of an entry of the header, or raise what is wrong with it."""
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, end]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the entry of {name} has no dtype, shape or data_offsets") from error
    if kind not in _TYPES:
        raise ValueError(f"{name} has the dtype {kind!r}, expected one of {', '.join(_TYPES)}")
    if not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(f"{name} has the shape {shape} and the offsets {[begin, end]}")
    size = math.prod(shape) * np.dtype(_TYPES[kind]).itemsize
    if end - begin != size:
        raise ValueError(f"{name} has {end - begin} bytes, expected {size} for {kind} {shape}")
    return begin, end, name


def _array(entry, data):
    """Return a copy of an array, in native byte order."""
    dtype = np.dtype(_TYPES[entry["dtype"]])
    a = np.frombuffer(data[slice(*entry["data_offsets"])], dtype).reshape(entry["shape"])
    if entry["dtype"] == "BF16":
        return (a.astype(np.uint32) << 16).view(np.float32)
    return a.astype(dtype.newbyteorder("="))
