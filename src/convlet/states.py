"""States of other libraries, converted for a model of the same layers."""

from __future__ import annotations

import math

import numpy as np

from . import layers
from ._checks import any_shape, state_arrays
from .layers.paths import join as _join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from ._types import Shape

_AXES = {
    layers.Conv2d: (2, 3, 1, 0),
    layers.ConvTranspose2d: (2, 3, 1, 0),
    layers.Conv1d: (2, 1, 0),
    layers.Linear: (1, 0),
}
_NORMS = (layers.BatchNorm, layers.GroupNorm, layers.LayerNorm)
# Where one of these took a sequence, PyTorch has it as (N, C, L).
_OF_CHANNELS = (
    layers.Conv1d,
    layers.MaxPool1d,
    layers.AvgPool1d,
    layers.BatchNorm,
    layers.GroupNorm,
)
_NORM_NAMES = {"gamma": "weight", "beta": "bias", "count": "num_batches_tracked"}


def from_pytorch(
    model: layers.Layer, state: Mapping[str, ArrayLike], *, shape: Shape | None = None
) -> dict[str, np.ndarray]:
    """Convert the `state_dict()` of a PyTorch model for a model of the same layers.

    Layers are matched in order, whatever their names, and must agree in kind and size. Weights are
    transposed to channels last, including those of a LayerNorm over several axes and of a Linear
    that follows a Flatten of images, or of sequences with channels: those that have met a Conv1d, a
    pooling or a norm of channels. Floating-point numbers are converted to the dtype of the model.
    Dropout, which has no state in PyTorch, keeps its own. The order is that in which a
    PyTorch module defines its attributes; torchvision's resnet18 fits `convlet.models.resnet18`.

    Parameters
    ----------
    model : Layer; it does not change
    state : mapping of str to tensors on the CPU, or to arrays, as `safetensors.numpy` reads them
    shape : tuple (N, H, W, C) or (N, L, C) of the model's x; needed if it has a Flatten

    Returns
    -------
    state : dict of str to ndarray, for `model.load_state_dict`

    Raises
    ------
    TypeError : state is not a mapping, or one of its values is not a plain array.
    ValueError : the layers differ in number, kind or size, and the message lists every difference;
        shape is missing; or the layer after a Flatten is one whose order cannot be converted.

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Conv2d, ReLU, Sequential, states
    >>> theirs = {"conv.weight": np.ones((8, 3, 5, 5), np.float32), "conv.bias": np.zeros(8)}
    >>> model = Sequential(Conv2d(3, 8, 5), ReLU())
    >>> model.load_state_dict(states.from_pytorch(model, theirs))
    """
    modules = {}
    for name, value in state_arrays(state, "from_pytorch").items():
        path, _, leaf = name.rpartition(".")
        modules.setdefault(path, {})[leaf] = value
    places = [(path, layer) for path, layer in model._walk() if layer._state()]
    ours = [(path, layer) for path, layer in places if not isinstance(layer, layers.Dropout)]
    if len(ours) != len(modules):
        raise ValueError(
            f"from_pytorch: expected {len(ours)} layers with weights, as the model has, got "
            f"{len(modules)}: {', '.join(modules)}"
        )
    images = _flattened(model, shape)
    problems, new = [], model.state_dict()
    for (path, layer), (module, arrays) in zip(ours, modules.items(), strict=True):
        unused = set(arrays)
        for name, value in layer._state().items():
            theirs = _NORM_NAMES.get(name, name)
            where = _join(module, theirs)
            if theirs not in arrays:
                if name not in ("count", "convention"):
                    problems.append(f"missing {where}, for {_join(path, name)} of {layer!r}")
                continue
            unused.discard(theirs)
            found = _converted(layer, name, arrays[theirs], images.get(id(layer)))
            if found is None or found.shape != value.shape:
                problems.append(
                    f"{where} of shape {arrays[theirs].shape} does not fit {_join(path, name)} of "
                    f"{layer!r}"
                )
            else:
                new[_join(path, name)] = found.astype(value.dtype)
        problems += [f"unexpected {_join(module, name)}, of {layer!r}" for name in sorted(unused)]
    if problems:
        raise ValueError("from_pytorch: the state is of another model\n  " + "\n  ".join(problems))
    return new


def _converted(layer, name, value, image):
    """An array in the layout of a layer, or None if the layer cannot have such an array."""
    axes = _AXES.get(type(layer))
    if axes is None and not isinstance(layer, _NORMS):
        raise ValueError(f"from_pytorch: {layer!r} has no counterpart that is known")
    if isinstance(layer, layers.LayerNorm) and value.ndim > 1:
        return np.moveaxis(value, 0, -1)
    if axes is None or name != "weight":
        return value
    if value.ndim != len(axes):
        return None
    if image is not None and value.shape[1] == math.prod(image):
        *sizes, c = image
        value = np.moveaxis(value.reshape(-1, c, *sizes), 1, -1).reshape(len(value), -1)
    return value.transpose(axes)


def _flattened(model, shape):
    """(H, W, C) or (L, C) of what a Linear takes flattened, by the id of the Linear."""
    if not any(isinstance(layer, layers.Flatten) for _, layer in model._walk()):
        return {}
    if shape is None:
        raise ValueError(
            "from_pytorch: what a Linear takes after a Flatten comes in another order; give the "
            "shape of x, such as shape=(1, 28, 28, 1)"
        )
    images, waiting, channels_first = {}, None, False
    for path, layer, given, got in model._trace(any_shape(shape, "from_pytorch: shape")):
        if waiting is not None and isinstance(layer, layers.Linear):
            images[id(layer)], waiting = waiting, None
        elif waiting is not None and (given != got or layer._own() or len(given) != 2):
            raise ValueError(
                f"from_pytorch: layer {path}, {layer!r}, follows a Flatten with channels, and "
                f"the order of what it takes is known of a Linear alone"
            )
        channels_first |= isinstance(layer, _OF_CHANNELS) and len(given) == 3
        moved = len(given) == 4 or (len(given) == 3 and channels_first)
        if isinstance(layer, layers.Flatten) and moved and math.prod(given[1:-1]) > 1:
            waiting = given[1:]
    return images
