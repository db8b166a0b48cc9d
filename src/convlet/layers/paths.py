"""Where a layer is in its model: its path, and its place in an error message."""

from __future__ import annotations


def join(path, name):
    """Return the path of a layer inside the one at a path."""
    return f"{path}.{name}" if path else name


def locate(error, place):
    """Prefix the message of an error with the place of its layer, if any; the caller re-raises."""
    if place:
        error.args = (f"{place}, {error}",)
