"""CIFAR-10 and CIFAR-100, from the original files of their binary version.

A file is a row of records: the label in one byte (two in CIFAR-100: coarse, fine), then 32x32
pixels of red, of green and of blue.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

Split = tuple[np.ndarray, np.ndarray]

SIDE = 32
PIXELS = 3 * SIDE * SIDE


def cifar10(folder: str | os.PathLike) -> tuple[Split, Split]:
    """Load CIFAR-10: 50,000 and 10,000 colour images of 32x32 pixels, ten classes.

    Parameters
    ----------
    folder : str or path of the folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : x ndarray (n, 32, 32, 3), float32, in [0, 1] (the value
        over 255); y ndarray (n,), int64, in 0 to 9

    Raises
    ------
    FileNotFoundError : a file is missing.
    ValueError : a file does not consist of whole records, or a label is out of range; the message
        names the file, what was expected and what was found.

    References
    ----------
    Krizhevsky 2009, Learning multiple layers of features from tiny images

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from convlet import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
    ...         _ = pathlib.Path(folder, f"{name}.bin").write_bytes(bytes([7]) + bytes(3072))
    ...     (x_train, y_train), (x_test, y_test) = data.cifar10(folder)
    >>> x_train.shape, y_train
    ((5, 32, 32, 3), array([7, 7, 7, 7, 7]))
    """
    train = [f"data_batch_{i}.bin" for i in range(1, 6)]
    return _split(folder, train, [10], 0), _split(folder, ["test_batch.bin"], [10], 0)


def cifar100(folder: str | os.PathLike, *, labels: str = "fine") -> tuple[Split, Split]:
    """Load CIFAR-100: 50,000 and 10,000 colour images of 32x32 pixels, 100 classes in 20 groups.

    Parameters
    ----------
    folder : str or path of the folder with train.bin and test.bin
    labels : "fine", the 100 classes, or "coarse", the 20 groups

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : as of `cifar10`, y in 0 to 99 or 0 to 19

    Raises
    ------
    FileNotFoundError, ValueError : as of `cifar10`; and labels is neither.

    References
    ----------
    Krizhevsky 2009, Learning multiple layers of features from tiny images

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from convlet import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("train", "test"):
    ...         _ = pathlib.Path(folder, f"{name}.bin").write_bytes(bytes([19, 99]) + bytes(3072))
    ...     (_, fine), _ = data.cifar100(folder)
    ...     (_, coarse), _ = data.cifar100(folder, labels="coarse")
    >>> fine, coarse
    (array([99]), array([19]))
    """
    if labels not in ("coarse", "fine"):
        raise ValueError(f"cifar100: labels must be 'fine' or 'coarse', got {labels!r}")
    column = 0 if labels == "coarse" else 1
    return tuple(_split(folder, [f"{part}.bin"], [20, 100], column) for part in ("train", "test"))


def _split(folder, names, classes, column) -> Split:
    """Read files of records into images, and the labels of one column."""
    paths = [Path(folder) / name for name in names]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{folder}: expected the files {', '.join(missing)}, got none")
    records = np.concatenate([_records(path, classes) for path in paths])
    planes = records[:, len(classes) :].reshape(-1, 3, SIDE, SIDE)
    x = np.empty((len(records), SIDE, SIDE, 3), np.float32)
    np.divide(planes.transpose(0, 2, 3, 1), np.float32(255), out=x)
    return x, records[:, column].astype(np.int64)


def _records(path, classes) -> np.ndarray:
    """Read one file as (records, bytes), each label below its number of classes."""
    length, size = len(classes) + PIXELS, path.stat().st_size
    if size == 0 or size % length:
        raise ValueError(
            f"{path}: expected whole records of {length} bytes, at least one, got {size} bytes: "
            f"{size // length} records and {size % length} bytes"
        )
    records = np.fromfile(path, np.uint8, count=size).reshape(-1, length)
    for column, count in enumerate(classes):
        wrong = np.flatnonzero(records[:, column] >= count)
        if len(wrong):
            raise ValueError(
                f"{path}: expected labels from 0 to {count - 1}, got {records[wrong[0], column]} "
                f"in record {wrong[0]}"
            )
    return records
