"""What a program may forbid or ask for, whatever the call: a context, not an argument."""

from __future__ import annotations

import contextvars
import os
from typing import NamedTuple


class Options(NamedTuple):
    """The options in force; see `options`."""

    winograd: bool = True
    fuse: bool = True


_current: contextvars.ContextVar[Options | None] = contextvars.ContextVar("options", default=None)
_from_environment: Options | None = None


def get_options() -> Options:
    """Return the options that hold here, a named tuple.

    Examples
    --------
    >>> with options(winograd=False):
    ...     get_options().winograd
    False
    """
    return _current.get() or _from_environment or _read_environment()


def _read_environment():
    global _from_environment
    value = os.environ.get("CONVLET_WINOGRAD", "").strip()
    if value not in ("", "0", "1"):
        raise ValueError(f"CONVLET_WINOGRAD must be 0 or 1, got {value!r}")
    _from_environment = Options(winograd=value != "0")
    return _from_environment


class options:  # noqa: N801 (reads as a function)
    """Let options hold in a `with` block, for this thread or asyncio task only.

    Parameters
    ----------
    winograd : bool
        False: a convolution with algorithm="auto" never takes a Winograd path, and so gives the
        bits of "im2col". At first True, or what the environment says in CONVLET_WINOGRAD (0 or 1).
    fuse : bool
        False: a model runs layer by layer, as its layers are written, instead of joining them into
        kernels (see `Layer.plan`). The two agree within rounding. At first True.

    Raises
    ------
    TypeError : an option is unknown or not a bool.

    Examples
    --------
    >>> import convlet as cl
    >>> with cl.options(winograd=False):
    ...     cl.ops.conv2d_algorithm((8, 56, 56, 64), (3, 3, 64, 64), padding=1)["algorithm"]
    'im2col'
    """

    def __init__(self, **chosen: bool):
        for name, value in chosen.items():
            if name not in Options._fields:
                raise TypeError(f"options: expected one of {Options._fields}, got {name!r}")
            if not isinstance(value, bool):
                raise TypeError(f"options: {name} must be a bool, got {value!r}")
        self._chosen = chosen
        self._tokens = []

    def __enter__(self) -> Options:
        current = get_options()._replace(**self._chosen)
        self._tokens.append(_current.set(current))
        return current

    def __exit__(self, *exception):
        _current.reset(self._tokens.pop())
