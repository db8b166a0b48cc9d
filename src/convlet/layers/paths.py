"""Where a layer stands in its model: its path, and its place in the message of an error."""

from __future__ import annotations


def join(path, name):
    """Return the path of a layer inside the one at a path."""
    return f"{path}.{name}" if path else name


def locate(error, place):
    """Put the place of a layer, if any, before the message of its error, to be raised again."""
    if place:
        error.args = (f"{place}, {error}",)
