"""Dropout of values, or of whole channels."""

from __future__ import annotations

import numpy as np

from .. import init
from ..ops import dropout, dropout_backward
from ..ops.dropout import probability
from . import arguments
from .base import Layer
from .state_dict import count_objections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._types import Rng


class Dropout(Layer):
    """In training, set each value to 0 with probability p and scale the others by 1/(1 - p).

        y[i] = x[i] / (1 - p) where word(seed, counter, i) ≥ 2³²·p, else 0

    The inference door returns x. The mask is a function of seed, counter and index alone (see
    `convlet.ops.dropout`), so it is the same on every machine and for any number of threads, and
    the pullback recomputes it instead of storing it. Each successful forward pass at the training
    door adds one to the counter; `freeze` does not change that.

    Parameters
    ----------
    p : float from 0 to 1: the probability that a value is dropped
    per_channel : bool, default False; drop whole channels of a sample
    rng : numpy Generator or seed that the layer's seed is drawn from; by default that of the model,
        or fresh entropy

    Attributes
    ----------
    seed : int, drawn when it is first needed
    counter : int, how many masks have been used; both are part of the state

    Raises
    ------
    TypeError, ValueError : p is not a number from 0 to 1.

    References
    ----------
    Srivastava et al. 2014, JMLR 15; Tompson et al. 2015, arXiv:1411.4280 (channels)

    Examples
    --------
    >>> import numpy as np
    >>> layer = Dropout(0.5, rng=0)
    >>> x = np.ones((1, 8), np.float32)
    >>> y, _ = layer.vjp(x)
    >>> y
    array([[2., 0., 2., 0., 0., 2., 2., 2.]], dtype=float32)
    >>> layer(x)
    array([[1., 1., 1., 1., 1., 1., 1., 1.]], dtype=float32)
    """

    _kind = "dropout"
    _changes = Layer._changes | {"counter", "_seed"}
    _draws = True

    def __init__(self, p: float, *, per_channel: bool = False, rng: Rng = None) -> None:
        self.p, self.per_channel = probability(p, "Dropout: p"), bool(per_channel)
        self._rng, self._seed, self.counter = init.generator(rng), None, 0

    @property
    def seed(self) -> int:
        """The key of the masks."""
        if self._seed is None:
            self._seed = int(np.random.default_rng(self._rng).integers(2**63))
        return self._seed

    def _output_shape(self, shape):
        if len(shape) < 1 or (self.per_channel and len(shape) < 2):
            least = "(N, ..., C)" if self.per_channel else "(N, ...)"
            raise ValueError(f"{self!r}: expected x of shape {least}, got {shape}")
        return shape

    def _apply(self, x):
        return x

    def _vjp(self, x, input_grad, commits):
        # A layer that occurs twice in one model uses two masks.
        counter = self.counter + commits.count(self._count)
        commits.append(self._count)
        options = {"seed": self.seed, "counter": counter, "per_channel": self.per_channel}

        def pull(dy):
            return dropout_backward(dy, self.p, **options)

        return dropout(x, self.p, **options), pull

    def _count(self):
        self.counter += 1

    def _state(self):
        return {"seed": np.array(self.seed), "counter": np.array(self.counter)}

    def _objections(self, name, value):
        return count_objections(value)

    def _load(self, name, value):
        setattr(self, {"seed": "_seed", "counter": "counter"}[name], int(value))

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_seed": self.seed}

    def __repr__(self) -> str:
        options = arguments.options_repr([("per_channel", self.per_channel, False)])
        return f"Dropout({self.p}{options})"
