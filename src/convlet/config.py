"""The configuration: how convlet was built and runs, where its C files are, its cache."""

from __future__ import annotations

import os
import sys

import numpy as np

from . import _core
from .threads import get_num_threads

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def clear_cache() -> None:
    """Free the memory that is kept for later results; arrays in use keep theirs.

    Examples
    --------
    >>> clear_cache()
    >>> show_config("dicts")["cache"]["idle_bytes"]
    0
    """
    _core.clear_cache()


def get_include() -> str:
    """Return the folder of the C headers, for `#include <convlet.h>` and for Cython's `cimport`.

    Raises
    ------
    FileNotFoundError : the installation is an editable one, which has no such folder.

    Examples
    --------
    >>> import os
    >>> os.path.isfile(os.path.join(get_include(), "convlet.h"))
    True
    """
    return _folder("include", "get_include")


def get_library_dir() -> str:
    """Return the folder of the static library and of `pkgconfig/convlet.pc`, for programs in C.

    Raises
    ------
    FileNotFoundError : as of `get_include`.

    Examples
    --------
    >>> import os
    >>> os.path.isfile(os.path.join(get_library_dir(), "pkgconfig", "convlet.pc"))
    True
    """
    return _folder("lib", "get_library_dir")


def _folder(name, where):
    folder = os.path.join(_PACKAGE, name)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"{where}: expected the folder {folder}, which an editable installation has not; "
            f"install the package by pip install ."
        )
    return folder


def show_config(mode: str = "stdout") -> dict | None:
    """Print or return how convlet was built and how it runs.

    Parameters
    ----------
    mode : "stdout" to print, "dicts" to return

    Returns
    -------
    config : dict with "convlet", "isa", "isa_available", "threads", "thread_backend", "cache"
        (hits, misses, idle_bytes, limit), "numpy" and "python"; None when it was printed.

    Raises
    ------
    ValueError : mode is neither.

    Examples
    --------
    >>> sorted(show_config("dicts"))[:3]
    ['cache', 'convlet', 'isa']
    """
    from . import __version__

    config = {
        "convlet": __version__,
        "isa": _core.isa(),
        "isa_available": list(_core.isa_levels()),
        "threads": get_num_threads(),
        "thread_backend": _core.thread_backend(),
        "cache": _core.cache_info(),
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }
    if mode == "dicts":
        return config
    if mode != "stdout":
        raise ValueError(f"show_config: expected mode 'stdout' or 'dicts', got {mode!r}")
    for name, value in config.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {number}" for key, number in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        print(f"{name:15} {value}")
    return None
