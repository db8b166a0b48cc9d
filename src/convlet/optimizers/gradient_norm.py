"""Norms of gradients, for clipping and for steps with a max_norm."""

from __future__ import annotations

import math

import numpy as np

from .. import _core
from .._checks import is_number
from ..threads import get_num_threads


def segment(parameter):
    """The gradient of a parameter as a segment of the core."""
    return parameter.kept_grad().reshape(-1), None, None, None, None


def by_dtype(parameters):
    """(positions, segments) of the gradients of each dtype."""
    positions = {}
    for i, p in enumerate(parameters):
        positions.setdefault(p.dtype, []).append(i)
    return [(those, [segment(parameters[i]) for i in those]) for those in positions.values()]


def squares(parameters):
    """The sum of squares of each gradient."""
    found = np.zeros(len(parameters))
    for positions, segments in by_dtype(parameters):
        sums = np.zeros(len(positions))
        _core.sum_squares(sums, segments, get_num_threads())
        found[positions] = sums
    return found.tolist()


def root_of_sum(squares):
    """The root of the exact sum, scaled down first so that finite squares cannot overflow."""
    return math.sqrt(math.fsum(square * 2.0**-20 for square in squares)) * 2.0**10


def finite_squares(parameters, where):
    """The sum of squares of each gradient; raise FloatingPointError if one is not finite."""
    found = squares(parameters)
    for p, square in zip(parameters, found, strict=True):
        if not math.isfinite(square):
            raise FloatingPointError(
                f"{where}: expected finite gradients, got {square} as the sum of squares of "
                f"{p!r}; no gradient has been changed: skip this step, or lower the learning rate"
            )
    return found


def check_limit(value, where, finite):
    """Return a limit of norms or gradients as a float; raise if it is out of range."""
    if not is_number(value):
        raise TypeError(f"{where} to be a number, got {value!r}")
    if not value >= 0 or (finite and math.isinf(value)):
        raise ValueError(f"{where} to be at least 0{' and finite' * finite}, got {value}")
    return float(value)
