"""Linear layers."""

import numpy as np


def linear(x, w, b=None):
    """y = x w + b along the last axis: x (..., in), w (in, out)."""
    return x @ w if b is None else x @ w + b


def linear_backward(dy, x, w, *, needs=(True, True, True)):
    """Gradients (dx, dw, db) of Σ dy·linear(x, w, b), None where not needed.

    dx = dy wᵀ,  dw = Σ_rows xᵀ dy,  db = Σ_rows dy
    """
    rows = tuple(range(x.ndim - 1))
    dx = dy @ w.T if needs[0] else None
    dw = np.tensordot(x, dy, axes=(rows, rows)) if needs[1] else None
    db = dy.sum(axis=rows) if needs[2] else None
    return dx, dw, db
