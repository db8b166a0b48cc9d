"""A strict reader and writer of IDX files, the format of the MNIST family.

A file is four bytes of magic (0, 0, the type code, the number of axes), one big-endian 32-bit
size per axis, then the values in row-major order. Only unsigned bytes (type code 8) are read.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

_UNSIGNED_BYTE = 8
_GZIP = b"\x1f\x8b"
_MOST_AXES = 64  # NumPy's
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike, *, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or compressed by gzip.

    Memory is allocated for what the file holds, never for what its header claims, and at most one
    byte more is decompressed than the header promises.

    Parameters
    ----------
    path : str or path of the file
    shape : tuple of int or None, optional: the shape expected, with None for any size. Another
        shape is refused as soon as the header has been read.

    Returns
    -------
    values : ndarray, uint8, of the shape that the file's header states

    Raises
    ------
    ValueError : the magic is not that of unsigned bytes, the shape is not the expected one, the
        file is shorter than its header promises, bytes follow the last value, or the compressed
        data is damaged; the message names the file, what was expected and what was found.

    Examples
    --------
    >>> from convlet import data
    >>> data.read_idx(f"{data.__path__[0]}/digits-images.idx3-ubyte").shape
    (1797, 8, 8)
    """
    name = os.fspath(path)
    with _opened(path) as file:
        found = _header(file, name)
        if shape is not None and not _matches(found, shape):
            expected = ", ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(f"{name}: expected the shape ({expected}), got {found}")
        due = math.prod(found)
        values = _read(file, due + 1)
    header = 4 + 4 * len(found)
    if len(values) != due:
        short = len(values) < due
        raise ValueError(
            f"{name} {'is truncated' if short else 'has trailing bytes'}: expected {header + due} "
            f"bytes for the shape {found}, got {header + len(values) if short else 'more'}"
        )
    return np.frombuffer(values, np.uint8).reshape(found)


@contextlib.contextmanager
def _opened(path) -> Iterator[BinaryIO]:
    """Open a file, through gzip if it begins like one; damaged gzip data is a ValueError."""
    with open(path, "rb") as file:
        if file.peek(2)[:2] != _GZIP:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as content:
                yield content
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{os.fspath(path)}: the gzip data is damaged: {error}") from error


def _header(file: BinaryIO, name: str) -> tuple[int, ...]:
    """Read magic and sizes, and return the sizes."""
    magic = _read(file, 4)
    if len(magic) < 4:
        raise ValueError(f"{name}: expected a magic of 4 bytes, got a file of {len(magic)}")
    if magic[:2] != b"\0\0" or magic[2] != _UNSIGNED_BYTE or magic[3] == 0:
        raise ValueError(
            f"{name}: expected the magic 00 00 08 and at least one axis (an IDX file of unsigned "
            f"bytes), got {magic.hex(' ')}"
        )
    axes = magic[3]
    sizes = _read(file, 4 * axes)
    if len(sizes) < 4 * axes:
        raise ValueError(
            f"{name}: expected a header of {4 + 4 * axes} bytes for {axes} axes, got a file of "
            f"{4 + len(sizes)}"
        )
    shape = struct.unpack(f">{axes}I", sizes)
    if axes > _MOST_AXES or math.prod(max(size, 1) for size in shape) >= 2**63:
        raise ValueError(f"{name}: expected a shape that an array can have, got {shape}")
    return shape


def _read(file: BinaryIO, most: int) -> bytearray:
    """Read up to `most` bytes, into memory that grows as they come."""
    content = bytearray()
    while len(content) < most:
        chunk = file.read(min(most - len(content), _CHUNK))
        if not chunk:
            break
        content += chunk
    return content


def _matches(found: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(found) == len(expected) and all(
        size is None or size == got for got, size in zip(found, expected, strict=True)
    )


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

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_idx(f"{folder}/labels", np.array([3, 1, 4], np.uint8))
    ...     read_idx(f"{folder}/labels")
    array([3, 1, 4], dtype=uint8)
    """
    if values.dtype != np.uint8:
        raise TypeError(f"write_idx: expected an array of uint8, got {values.dtype}")
    if values.ndim == 0:
        raise ValueError("write_idx: expected an array with at least one axis, got a scalar")
    with open(path, "wb") as file:
        file.write(bytes([0, 0, _UNSIGNED_BYTE, values.ndim]))
        file.write(struct.pack(f">{values.ndim}I", *values.shape))
        file.write(np.ascontiguousarray(values).tobytes())
