"""MNIST and Fashion-MNIST, from their original files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .idx import read_idx

Split = tuple[np.ndarray, np.ndarray]

CLASSES = 10
SIDE = 28


def mnist(folder: str | os.PathLike) -> tuple[Split, Split]:
    """Load MNIST: 60,000 and 10,000 handwritten digits, grey images of 28x28 pixels.

    Parameters
    ----------
    folder : str or path of the folder with train-images-idx3-ubyte, train-labels-idx1-ubyte,
        t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, or each compressed, with the suffix .gz.
        The names may have a dot before "idx".

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : x ndarray (n, 28, 28, 1), float32, in [0, 1] (the pixel
        over 255); y ndarray (n,), int64, in 0 to 9

    Raises
    ------
    FileNotFoundError : a file is missing; the message lists the names that were looked for.
    ValueError : a file is not an IDX file of unsigned bytes, is damaged, truncated or too long, has
        images other than 28x28 or not one label for each, or has a label above 9. It is raised
        before memory is allocated for what a header claims.

    References
    ----------
    LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document recognition

    Examples
    --------
    >>> import tempfile
    >>> from convlet import data
    >>> from convlet.data.idx import write_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in ("train", "t10k"):
    ...         write_idx(f"{folder}/{part}-images-idx3-ubyte", np.zeros((2, 28, 28), np.uint8))
    ...         write_idx(f"{folder}/{part}-labels-idx1-ubyte", np.arange(2, dtype=np.uint8))
    ...     (x_train, y_train), (x_test, y_test) = data.mnist(folder)
    >>> x_train.shape, y_train
    ((2, 28, 28, 1), array([0, 1]))
    """
    return _split(folder, "train"), _split(folder, "t10k")


def fashion_mnist(folder: str | os.PathLike) -> tuple[Split, Split]:
    """Load Fashion-MNIST: 60,000 and 10,000 grey images of clothes, 28x28 pixels, ten classes.

    Its files have the names and the format of MNIST's: see `mnist` for parameters, returns, raises
    and an example.

    References
    ----------
    Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747
    """
    return mnist(folder)


def _split(folder, prefix) -> Split:
    path = _find(folder, f"{prefix}-labels-idx1-ubyte")
    labels = read_idx(path, shape=(None,))
    if labels.size and labels.max() >= CLASSES:
        index = int(np.argmax(labels >= CLASSES))
        raise ValueError(
            f"{path}: expected labels from 0 to {CLASSES - 1}, got {labels[index]} at index {index}"
        )
    images = read_idx(_find(folder, f"{prefix}-images-idx3-ubyte"), shape=(len(labels), SIDE, SIDE))
    x = np.divide(images[..., np.newaxis], np.float32(255), dtype=np.float32)
    return x, labels.astype(np.int64)


def _find(folder, name) -> Path:
    """Return the path of a file under one of its names."""
    names = [name, name.replace("-idx", ".idx")]
    names += [f"{name}.gz" for name in names]
    for candidate in names:
        path = Path(folder) / candidate
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder}: expected one of the files {', '.join(names)}, got none")
