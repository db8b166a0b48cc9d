"""Batches of a data set, in a new order in every pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import _checks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, SupportsIndex

    from .._types import Array, Rng


class Batches:
    """Batches of examples and labels: each iteration is one pass through the data set.

    Every example occurs exactly once in a pass, except for those that last="drop" leaves out.

    Parameters
    ----------
    x : array (n, ...)
    y : array (n, ...)
    batch_size : int, at least 1
    rng : numpy Generator, seed, or None for fresh entropy: draws a new order for each pass, when
        its first batch is requested
    shuffle : bool, default True; if False, examples come in their order
    last : what to do with the examples left over when n is not a multiple of batch_size: "keep"
        them as a smaller batch, "drop" them, or "merge" them into the batch before, since a batch
        norm cannot train on too few examples. If n is below batch_size, "merge" gives one batch.

    Attributes
    ----------
    examples : int, how many a pass has
    batch_size, shuffle, last : as given

    Yields
    ------
    (x, y) of one batch, copies of the rows

    Raises
    ------
    TypeError : x or y is not an array, or batch_size is not an integer.
    ValueError : x and y differ in length, batch_size is below 1, last is none of the three, or
        "drop" would leave nothing; the message names the values.

    Examples
    --------
    >>> import numpy as np
    >>> batches = Batches(np.arange(7), np.arange(7), 3, shuffle=False, last="merge")
    >>> len(batches), [x.tolist() for x, y in batches]
    (2, [[0, 1, 2], [3, 4, 5, 6]])
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        batch_size: SupportsIndex,
        *,
        rng: Rng = None,
        shuffle: bool = True,
        last: Literal["keep", "drop", "merge"] = "keep",
    ) -> None:
        self._x = _checks.as_ndarray(x, "Batches: x")
        self._y = _checks.as_ndarray(y, "Batches: y")
        for name, value in (("x", self._x), ("y", self._y)):
            _checks.at_least_one_axis(value, f"Batches: {name}")
        n = len(self._x)
        if n != len(self._y):
            raise ValueError(
                f"Batches: expected as many labels as examples, {n}, got {len(self._y)}"
            )
        self.batch_size = _checks.size(batch_size, "Batches: batch_size")
        if last not in ("keep", "drop", "merge"):
            raise ValueError(f"Batches: last must be 'keep', 'drop' or 'merge', got {last!r}")
        self.shuffle, self.last, self._rng = bool(shuffle), last, np.random.default_rng(rng)
        whole, left = divmod(n, self.batch_size)
        if last == "drop" and whole == 0:
            raise ValueError(
                f"Batches: last='drop' leaves nothing of {n} examples in batches of "
                f"{self.batch_size}; use a smaller batch_size, or last='keep'"
            )
        self.examples = n - left if last == "drop" else n
        smaller = left > 0 and (last == "keep" or (last == "merge" and whole == 0))
        self._count = whole + smaller

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.arange(len(self._x))
        if self.shuffle:
            order = self._rng.permutation(len(self._x))
        for i in range(self._count):
            end = self.examples if i == self._count - 1 else (i + 1) * self.batch_size
            rows = order[i * self.batch_size : end]
            yield self._x[rows], self._y[rows]
