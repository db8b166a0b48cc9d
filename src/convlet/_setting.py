"""A value that holds in `with` blocks."""

from contextvars import ContextVar


class Setting:
    """A value that `with` blocks set in their thread or asyncio task, and None outside of them.

    Attributes
    ----------
    get : callable, returns the value of the innermost block
    """

    def __init__(self, name):
        self._name, self._value = name, ContextVar(f"convlet_{name}", default=None)
        self._blocks = ContextVar(f"convlet_{name}_blocks", default=())
        self.get = self._value.get

    def enter(self, owner, value):
        """Begin a block of an object, which may have others, in this thread or elsewhere."""
        self._blocks.set((*self._blocks.get(), (owner, value)))
        self._value.set(value)

    def leave(self, owner):
        """End the innermost block of an object."""
        blocks = list(self._blocks.get())
        own = [i for i, (entered, _) in enumerate(blocks) if entered is owner]
        if not own:
            raise RuntimeError(f"{self._name}: left in a thread or task that has not entered it")
        del blocks[own[-1]]
        self._blocks.set(tuple(blocks))
        self._value.set(blocks[-1][1] if blocks else None)
