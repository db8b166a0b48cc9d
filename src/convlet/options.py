"""Options for all calls in a context: which algorithms, fusion and threading to allow."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import _core
from ._setting import Setting


class Options(NamedTuple):
    """The options in effect; see `options`."""

    winograd: bool = True
    fuse: bool = True
    adaptive: bool = True


_current = Setting("options")
_from_environment: Options | None = None


def get_options() -> Options:
    """Return the options in effect here, as a named tuple.

    Raises
    ------
    ValueError : CONVLET_WINOGRAD, CONVLET_FUSE or CONVLET_ADAPTIVE is neither 0 nor 1.

    Examples
    --------
    >>> with options(winograd=False):
    ...     get_options().winograd
    False
    """
    return _current.get() or _default()


def _default():
    return _from_environment or _read_environment()


def _read_environment():
    global _from_environment
    values = {}
    for field in Options._fields:
        name = f"CONVLET_{field.upper()}"
        value = os.environ.get(name, "").strip()
        if value not in ("", "0", "1"):
            raise ValueError(f"{name} must be 0 or 1, got {value!r}")
        values[field] = value != "0"
    _from_environment = Options(**values)
    return _from_environment


class options:  # noqa: N801 (reads as a function)
    """Set options in a `with` block, for this thread or asyncio task only.

    Parameters
    ----------
    winograd : bool
        False: a convolution with algorithm="auto" never takes a Winograd path, and so gives the
        bits of "im2col". The default is True, or the environment variable CONVLET_WINOGRAD, 0 or 1.
    fuse : bool
        False: a model runs layer by layer, as written, instead of fusing layers into larger kernels
        (see `Layer.plan`). The two agree up to rounding. The default is True, or CONVLET_FUSE.
    adaptive : bool
        True: if other programs kept a thread from its core so long that one thread alone would have
        been faster, calls run on one thread for a while (20 ms, or up to 300 if it goes on).
        Results do not depend on it. The default is True, or CONVLET_ADAPTIVE; set it to False in
        benchmarks.

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

    def __enter__(self) -> Options:
        current = get_options()._replace(**self._chosen)
        _current.enter(self, current)
        return current

    def __exit__(self, *exception: object) -> None:
        _current.leave(self)


_core.options_from(_current.get, _default)
