"""A strict reader and writer of IDX files, the format of the MNIST family.

A file is four bytes of magic (0, 0, the type code, the number of axes), one big-endian 32-bit
size per axis, then the values in row-major order. Only unsigned bytes (type code 8) are read.
"""

from __future__ import annotations

import math
import os
import struct

import numpy as np

_UNSIGNED_BYTE = 8


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    path : str or path of the file

    Returns
    -------
    values : ndarray, uint8, of the shape that the file's header states

    Raises
    ------
    ValueError : the magic is not that of unsigned bytes, the file is shorter than its header
        promises, or bytes follow the last value; the message names the file, what was expected
        and what was found.
    """
    with open(path, "rb") as file:
        content = file.read()
    name = os.fspath(path)
    if len(content) < 4:
        raise ValueError(f"{name}: expected a magic of 4 bytes, got a file of {len(content)}")
    if content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE or content[3] == 0:
        raise ValueError(
            f"{name}: expected the magic 00 00 08 and at least one axis (an IDX file of unsigned "
            f"bytes), got {content[:4].hex(' ')}"
        )
    axes = content[3]
    header = 4 + 4 * axes
    if len(content) < header:
        raise ValueError(
            f"{name}: expected a header of {header} bytes for {axes} axes, got a file of "
            f"{len(content)}"
        )
    shape = struct.unpack(f">{axes}I", content[4:header])
    expected = header + math.prod(shape)
    if len(content) != expected:
        fault = "is truncated" if len(content) < expected else "has trailing bytes"
        raise ValueError(
            f"{name} {fault}: expected {expected} bytes for the shape {shape}, got {len(content)}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()


def write_idx(path: str | os.PathLike, values: np.ndarray) -> None:
    """Write an array of unsigned bytes as an IDX file that `read_idx` reads back.

    Parameters
    ----------
    path : str or path of the file
    values : ndarray, uint8, with 1 to 255 axes

    Raises
    ------
    TypeError : the array holds anything but uint8; the message names its dtype.
    ValueError : the array has no axis.
    """
    if values.dtype != np.uint8:
        raise TypeError(f"write_idx: expected an array of uint8, got {values.dtype}")
    if values.ndim == 0:
        raise ValueError("write_idx: expected an array with at least one axis, got a scalar")
    with open(path, "wb") as file:
        file.write(bytes([0, 0, _UNSIGNED_BYTE, values.ndim]))
        file.write(struct.pack(f">{values.ndim}I", *values.shape))
        file.write(np.ascontiguousarray(values).tobytes())
