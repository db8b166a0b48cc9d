"""Pooling of sequences."""

from __future__ import annotations

from .. import _checks
from ..ops.conv1d import sequence_padding
from . import shapes
from .pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d, pool_repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from .._types import SequencePadding


class _OfSequences:
    """What makes a pool of images one of sequences: they are images of one row."""

    def _output_shape(self, shape):
        shapes.check_sequences(self, shape)
        n, length, c = shape
        if length < 1:
            raise ValueError(f"{self!r}: expected sequences of at least one position, got {shape}")
        return _without_row(super()._output_shape((n, 1, length, c)))

    def _apply(self, x):
        y = super()._apply(x[:, None])
        return y.reshape(_without_row(y.shape))

    def _vjp(self, x, input_grad, commits):
        y, pull = super()._vjp(x[:, None], input_grad, commits)
        shape, y_shape = x.shape, y.shape

        def pull_rows(dy):
            return pull(dy.reshape(y_shape)).reshape(shape)

        return y.reshape(_without_row(y_shape)), pull_rows


class _OfWindows(_OfSequences):
    """What those with a window have."""

    def __init__(self, kernel_size, stride, padding, **options):
        name = type(self).__name__
        super().__init__(
            (1, _checks.size(kernel_size, f"{name}: kernel_size")),
            stride=None if stride is None else (1, _checks.size(stride, f"{name}: stride")),
            padding=sequence_padding(padding, f"{name}: padding"),
            **options,
        )

    def __repr__(self) -> str:
        of_rows = {n: v[1] if isinstance(v, tuple) else v for n, v in self._options().items()}
        return pool_repr(self, self.kernel_size[1], of_rows)


class MaxPool1d(_OfWindows, MaxPool2d):
    """Take the largest value of each window of sequences (N, L, C).

    Parameters
    ----------
    kernel_size : int
    stride : int; None is kernel_size
    padding : as in Conv1d, at most half of the kernel; it never wins
    dilation : int, default 1
    ceil_mode : bool, default False; round the output size up instead of down

    Raises
    ------
    TypeError, ValueError : an option is out of range.

    Notes
    -----
    A MaxPool2d of images of one row.

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool1d(2)(np.array([1, 4, 3, 2], np.float32).reshape(1, 4, 1)).ravel()
    array([4., 3.], dtype=float32)
    """

    def __init__(
        self,
        kernel_size: SupportsIndex,
        *,
        stride: SupportsIndex | None = None,
        padding: SequencePadding = 0,
        dilation: SupportsIndex = 1,
        ceil_mode: bool = False,
    ) -> None:
        dilation = (1, _checks.size(dilation, "MaxPool1d: dilation"))
        super().__init__(kernel_size, stride, padding, dilation=dilation, ceil_mode=ceil_mode)


class AvgPool1d(_OfWindows, AvgPool2d):
    """Take the mean of each window of sequences (N, L, C).

    Parameters
    ----------
    kernel_size : int
    stride : int; None is kernel_size
    padding : as in Conv1d, at most half of the kernel
    ceil_mode : bool, default False; round the output size up instead of down
    count_include_pad : bool, default True; divide by all positions of the window in the padded
        sequence, otherwise by those in the sequence

    Raises
    ------
    TypeError, ValueError : an option is out of range.

    Notes
    -----
    An AvgPool2d of images of one row.

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool1d(2)(np.array([1, 4, 3, 2], np.float32).reshape(1, 4, 1)).ravel()
    array([2.5, 2.5], dtype=float32)
    """

    def __init__(
        self,
        kernel_size: SupportsIndex,
        *,
        stride: SupportsIndex | None = None,
        padding: SequencePadding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        options = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
        super().__init__(kernel_size, stride, padding, **options)


class GlobalAvgPool1d(_OfSequences, GlobalAvgPool2d):
    """Take the mean of each channel over its sequence: (N, L, C) -> (N, C).

    Examples
    --------
    >>> import numpy as np
    >>> GlobalAvgPool1d()(np.arange(4, dtype=np.float32).reshape(1, 4, 1))
    array([[1.5]], dtype=float32)
    """


class GlobalMaxPool1d(_OfSequences, GlobalMaxPool2d):
    """Take the largest value of each channel of a sequence: (N, L, C) -> (N, C); a NaN wins.

    Examples
    --------
    >>> import numpy as np
    >>> GlobalMaxPool1d()(np.arange(4, dtype=np.float32).reshape(1, 4, 1))
    array([[3.]], dtype=float32)
    """


def _without_row(shape):
    """The shape of sequences, of their images; (N, C) as it is."""
    return shape if len(shape) == 2 else (shape[0], *shape[2:])
