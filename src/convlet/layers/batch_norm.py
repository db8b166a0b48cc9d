"""Batch normalisation."""

from __future__ import annotations

import math

import numpy as np

from .. import _checks, init
from .._core import running_move
from ..ops import batch_norm_inference
from ..ops.batch_norm import batch_norm_gradients, batch_norm_training
from ..parameter import FLOATS, Parameter
from . import arguments, shapes
from .base import Layer
from .recalibrate import BatchMoments
from .state_dict import count_objections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, Self, SupportsIndex


_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in FLOATS}

CONVENTIONS = ("torch", "keras", "onnx")  # by their number in the state


class BatchNorm(Layer):
    """Normalise each channel over all other axes: y = γ (x - mean)/√(var + ε) + β.

    Training uses the mean and biased variance of the batch and moves the running statistics
    towards them. Inference uses the running statistics, and so does training of a frozen layer.

        running ← running + momentum · (batch - running)

    x is (N, ..., C): images (N, H, W, C), rows (N, C). The defaults follow PyTorch;
    `BatchNorm.keras` and `BatchNorm.onnx` follow those two. `recalibrate` replaces the moving
    averages by the statistics of a whole data set. docs/normalization.md compares the conventions.

    Parameters
    ----------
    channels : int
    eps : float, default 1e-5: ε, inside the root
    momentum : float in [0, 1], default 0.1: the weight of the new value; None weighs all batches
        equally (a cumulative average, of weight 1/count)
    affine : bool, default True; if False, γ stays 1 and β stays 0
    track_running_stats : bool, default True; if False, inference normalises by the batch at hand
    running_var : "unbiased" or "biased": the running variance divides by N - 1 or by N

    Attributes
    ----------
    gamma, beta : Parameter (channels,), initially 1 and 0, or None
    running_mean, running_var : ndarray (channels,), initially 0 and 1, or None
    count : int, how many batches the running statistics have seen
    convention : "torch", "keras" or "onnx": the constructor; the state has the latter two

    Raises
    ------
    ValueError : an option is out of range. At the training door, x has fewer than two values per
        channel.
    FloatingPointError : at the training door, the statistics of x are not finite.

    References
    ----------
    Ioffe & Szegedy 2015, arXiv:1502.03167

    Examples
    --------
    >>> import numpy as np
    >>> y, _ = BatchNorm(1, eps=1e-12).vjp(np.array([[1.0], [3.0]], np.float32))
    >>> y.ravel()
    array([-1.,  1.], dtype=float32)
    """

    parameter_names = ("gamma", "beta")
    running_mean: np.ndarray | None
    running_var: np.ndarray | None
    _kind = "batch_norm"
    _changes = Layer._changes | {"running_mean", "running_var", "count", "frozen"}

    def __init__(
        self,
        channels: SupportsIndex,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        running_var: Literal["unbiased", "biased"] = "unbiased",
    ) -> None:
        self.channels = _checks.size(channels, "BatchNorm: channels")
        self.eps = arguments.epsilon(eps, "BatchNorm")
        self.momentum = None if momentum is None else arguments.momentum(momentum, "BatchNorm")
        if running_var not in ("unbiased", "biased"):
            raise ValueError(
                f"BatchNorm: expected running_var 'unbiased' or 'biased', got {running_var!r}"
            )
        self.affine, self.track_running_stats = bool(affine), bool(track_running_stats)
        self.kept_variance, self.frozen, self.count = running_var, False, 0
        self.convention = "torch"
        shape = (self.channels,)
        self._constants = (init.ones(shape), init.zeros(shape))
        self.gamma = self.beta = self.running_mean = self.running_var = None
        if affine:
            self.gamma = Parameter(init.ones(shape), kind="norm", name="gamma")
            self.beta = Parameter(init.zeros(shape), kind="norm", name="beta")
        if track_running_stats:
            self.running_mean, self.running_var = init.zeros(shape), init.ones(shape)

    @classmethod
    def keras(
        cls,
        channels: SupportsIndex,
        *,
        eps: float = 1e-3,
        momentum: float = 0.99,
        affine: bool = True,
    ) -> Self:
        """Make a batch norm in Keras' convention: momentum weighs the old value, var is biased.

            running ← momentum · running + (1 - momentum) · batch

        Parameters
        ----------
        channels, eps, affine : as in `BatchNorm`; eps is 1e-3
        momentum : float in [0, 1], default 0.99: the weight of the old value

        Returns
        -------
        BatchNorm : its `momentum` is 1 - momentum, its `convention` "keras"

        Examples
        --------
        >>> BatchNorm.keras(16)
        BatchNorm.keras(16)
        """
        return cls._of_convention("keras", channels, eps, momentum, affine)

    @classmethod
    def onnx(
        cls,
        channels: SupportsIndex,
        *,
        eps: float = 1e-5,
        momentum: float = 0.9,
        affine: bool = True,
    ) -> Self:
        """Make a batch norm in ONNX' convention: momentum weighs the old value, var is biased.

            running ← momentum · running + (1 - momentum) · batch

        Parameters
        ----------
        channels, eps, affine : as in `BatchNorm`
        momentum : float in [0, 1], default 0.9: the weight of the old value

        Returns
        -------
        BatchNorm : its `momentum` is 1 - momentum, its `convention` "onnx"

        Examples
        --------
        >>> BatchNorm.onnx(16, momentum=0.8)
        BatchNorm.onnx(16, momentum=0.8)
        """
        return cls._of_convention("onnx", channels, eps, momentum, affine)

    @classmethod
    def _of_convention(cls, name, channels, eps, momentum, affine):
        new = 1 - arguments.momentum(momentum, f"BatchNorm.{name}")
        layer = cls(channels, eps=eps, momentum=new, affine=affine, running_var="biased")
        layer.convention, layer._old_weight = name, float(momentum)
        return layer

    def _output_shape(self, shape):
        expected = f"(N, ..., {self.channels})"
        if len(shape) < 2:
            raise ValueError(f"{self!r}: expected x of shape {expected}, got {shape}")
        shapes.check_channels(self, shape, self.channels, expected)
        return shape

    def _check(self, shape, dtype, training):
        out = super()._check(shape, dtype, training)
        values = math.prod(shape[:-1])
        if values < 2 and not self._takes_running(training):
            raise ValueError(
                f"{self!r}: expected at least two values per channel to take a variance of, got "
                f"{values} in {shape}; use a larger batch, drop the last small one, or freeze() "
                f"this layer"
            )
        return out

    def _takes_running(self, training):
        return self.track_running_stats and (self.frozen or not training)

    def _scale_and_shift(self):
        return (self.gamma.value, self.beta.value) if self.affine else self._constants

    def _running(self):
        """The running mean and variance in float64."""
        return self.running_mean.astype(np.float64), self.running_var.astype(np.float64)

    def _apply(self, x):
        gamma, beta = self._scale_and_shift()
        if self._takes_running(training=False):
            mean, var = self.running_mean, self.running_var
            return batch_norm_inference(x, gamma, beta, mean, var, eps=self.eps)
        return batch_norm_training(x, gamma, beta, self.eps, None, None)[0]

    def _vjp(self, x, input_grad, commits):
        gamma, beta = self._scale_and_shift()
        frozen = self._takes_running(training=True)
        if frozen:
            mean, var = self.running_mean, self.running_var
            y = batch_norm_inference(x, gamma, beta, mean, var, eps=self.eps)
        else:
            y, mean, var = batch_norm_training(x, gamma, beta, self.eps, None, None)
            statistics = np.array((mean, var))
            commits.append(BatchMoments(self, statistics, x.size // self.channels))

        def pull(dy):
            dx, dgamma, dbeta = batch_norm_gradients(
                dy, x, gamma, mean, var, self.eps, None, None, None, False, frozen, input_grad
            )
            for parameter, gradient in ((self.gamma, dgamma), (self.beta, dbeta)):
                if parameter is not None:
                    parameter.accumulate(gradient)
            return dx

        return y, pull

    def _kept(self, statistics, values):
        """The mean and variance (2, C) to keep, of this many values; raise unless finite."""
        if self.kept_variance == "unbiased":
            statistics = statistics * np.array([[1.0], [values / (values - 1)]])
        sizes = np.abs(statistics)
        if not sizes.max() <= _LARGEST[self.dtype]:
            channel = int(np.argmin((sizes <= _LARGEST[self.dtype]).all(axis=0)))
            mean, var = statistics[:, channel].tolist()
            raise FloatingPointError(
                f"{self!r}: the batch has mean {mean} and variance {var} in "
                f"channel {channel}; look for values that are not finite in the input or, after a "
                f"step that was too large, in the weights"
            )
        return statistics.astype(self.dtype)

    def _moved(self, statistics, values):
        """The running statistics moved towards those of a batch; raise unless all are finite."""
        if not self.track_running_stats:
            self._kept(statistics, values)
            return None
        weight = 1 / (self.count + 1) if self.momentum is None else self.momentum
        unbias = values / (values - 1) if self.kept_variance == "unbiased" else 1.0
        dtype = self.dtype
        mean, var = np.empty(self.channels, dtype), np.empty(self.channels, dtype)
        # A user may have assigned arrays of another layout or dtype.
        before_mean = np.ascontiguousarray(self.running_mean, dtype)
        before_var = np.ascontiguousarray(self.running_var, dtype)
        if not running_move(mean, var, before_mean, before_var, statistics, weight, unbias):
            self._kept(statistics, values)  # raises
        return mean, var

    def _commit(self, moved):
        if moved is not None:
            mean, var = moved
            # Past __setattr__: no plan depends on these.
            vars(self).update(running_mean=mean, running_var=var, count=self.count + 1)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of parameters and statistics."""
        return self._constants[0].dtype

    def _statistics(self):
        if not self.track_running_stats:
            return {}
        statistics = {
            "running_mean": self.running_mean,
            "running_var": self.running_var,
            "count": np.array(self.count, np.int64),
        }
        if self.convention != "torch":
            statistics["convention"] = np.array(CONVENTIONS.index(self.convention), np.int64)
        return statistics

    def _state(self):
        return super()._state() | self._statistics()

    def _objections(self, name, value):
        if name == "convention" and not np.array_equal(value, CONVENTIONS.index(self.convention)):
            names = ", ".join(f"{i} {kind}" for i, kind in enumerate(CONVENTIONS))
            return [f"expected {CONVENTIONS.index(self.convention)}, got {value} ({names})"]
        if name in ("running_mean", "running_var") and value.dtype.kind == "f":
            least = 0.0 if name == "running_var" else -math.inf
            wrong = value[~((value >= least) & np.isfinite(value))]
            bound = " of at least 0" if name == "running_var" else ""
            return [f"expected finite numbers{bound}, got {wrong[0]}"] if wrong.size else []
        return count_objections(value) if name == "count" else []

    def _load(self, name, value):
        if name == "count":
            self.count = int(value)
        elif name == "convention":
            pass  # _objections has made sure that it is the same
        elif name in self._statistics():
            setattr(self, name, value.astype(self.dtype))
        else:
            super()._load(name, value)

    def _freeze(self, frozen):
        super()._freeze(frozen)
        self.frozen = frozen

    def _learns(self):
        return super()._learns() or (self.track_running_stats and not self.frozen)

    def _cast(self, dtype):
        super()._cast(dtype)
        self._constants = tuple(a.astype(dtype) for a in self._constants)
        if self.track_running_stats:
            self.running_mean = self.running_mean.astype(dtype)
            self.running_var = self.running_var.astype(dtype)

    def __repr__(self) -> str:
        if self.convention != "torch":
            eps, momentum = (1e-3, 0.99) if self.convention == "keras" else (1e-5, 0.9)
            options = [
                ("eps", self.eps, eps),
                ("momentum", self._old_weight, momentum),
                ("affine", self.affine, True),
            ]
            return f"BatchNorm.{self.convention}({self.channels}{arguments.options_repr(options)})"
        options = [
            ("eps", self.eps, 1e-5),
            ("momentum", self.momentum, 0.1),
            ("affine", self.affine, True),
            ("track_running_stats", self.track_running_stats, True),
            ("running_var", self.kept_variance, "unbiased"),
        ]
        return f"BatchNorm({self.channels}{arguments.options_repr(options)})"
