"""Arguments of layers: checks that several layers share, and how a repr shows them."""

from __future__ import annotations

import math

from .._checks import number, padding_form


def epsilon(value, layer) -> float:
    """Return the eps of a norm as a float, finite and above 0."""
    eps = number(value, f"{layer}: eps")
    if not 0 < eps < math.inf:
        raise ValueError(f"{layer}: expected a finite eps above 0, got {value}")
    return eps


def momentum(value, layer) -> float:
    """Return the momentum of a batch norm, from 0 to 1."""
    weight = number(value, f"{layer}: momentum")
    if not 0 <= weight <= 1:
        raise ValueError(f"{layer}: expected a momentum from 0 to 1, got {value}")
    return weight


def check_groups(groups, in_channels, out_channels, layer):
    """Raise unless groups divide the channels on both sides."""
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"{layer}: expected groups to divide {in_channels} input and {out_channels} output "
            f"channels, got {groups}"
        )


def pool_padding(padding, kernel_size, layer):
    """Return the padding_form of a pool, whose padding is at most half of the kernel."""
    form = padding_form(padding, f"{layer}: padding")
    if isinstance(form, str):
        return form
    for pads, kernel in zip(form, kernel_size, strict=True):
        if max(pads) > kernel // 2:
            raise ValueError(
                f"{layer}: expected padding of at most half of the kernel, {kernel // 2} for a "
                f"kernel of {kernel}, got {max(pads)}"
            )
    return form


def short(value):
    """Return a pair of equal numbers as one number, and anything else as it is."""
    if not isinstance(value, tuple):
        return value
    first, second = map(short, value)
    if isinstance(first, tuple) or isinstance(second, tuple):
        return value
    return first if first == second else (first, second)


def options_repr(pairs):
    """Write the options that differ from their defaults, given as (name, value, default)."""
    return "".join(f", {n}={short(v)!r}" for n, v, default in pairs if short(v) != default)
