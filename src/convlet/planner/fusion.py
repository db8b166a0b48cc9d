"""Joining nodes that one kernel can compute.

Two neighbours are joined where the value between them has no other reader. The order of computation
stays that of the later one, so a batch norm waits for the other summand.
"""

from __future__ import annotations

import math
from collections import Counter

from ..ops.pool import MAX_WINNERS

_TAKING_RELU = ("conv2d", "batch_norm", "batch_norm_sum", "add")
_JOINING = ("relu", "relu6", "leaky_relu", "add")  # what may go into the kernel before it


def fuse(nodes, output, summing=("batch_norm",), pairs=True, pools=True):
    """Return the nodes with every chain joined that has a kernel.

    Conv2d -> ReLU, ReLU6 or LeakyReLU, BatchNorm -> ReLU, BatchNorm -> add (-> ReLU) and add ->
    ReLU; `summing` are the kinds that take a sum. Where both summands could, the first, which is
    the body's, does; where both are batch norms, one kernel does both, but for `pairs` False. Max
    pooling goes into the kernel of the BatchNorm (-> ReLU) before it, but for `pools` False.

    Where max pooling follows Conv2d -> ReLU, it takes the gradient's mask: a window's largest value
    is above 0 where its output is, so that the mask is read off a smaller array, and the
    convolution's output need not be kept.
    """
    readers = count_readers(nodes, output)
    made = {}  # the nodes so far, by their values
    for node in nodes:
        if node.kind == "max_pool2d":
            node = _with_mask(node, made, readers)
            node = _with_norm(node, made, readers) if pools else node
        for value in node.inputs if node.kind in _JOINING else ():
            before = made.get(value)
            if before is not None and readers[value] == 1:
                joined = _joined(before, node, value, summing)
                if joined is not None:
                    del made[value]
                    node = _with_second(joined, made, readers) if pairs else joined
                    break
        made[node.y] = node
    return list(made.values())


def _with_mask(node, made, readers):
    """A max pooling with the mask of the convolution before it, which then has none."""
    (value,) = node.inputs
    before = made.get(value)
    if before is None or before.kind != "conv2d" or before.activation != "relu":
        return node
    if readers[value] > 1:
        return node
    made[value] = before._replace(masked_later=True)
    return node._replace(activation="relu")


def _with_norm(node, made, readers):
    """A batch norm with the max pooling that follows, where a byte can name the winners."""
    (value,) = node.inputs
    before = made.get(value)
    if before is None or before.kind != "batch_norm" or not before.takes_sum():
        return node
    if readers[value] > 1 or math.prod(node.layer.kernel_size) > MAX_WINNERS:
        return node
    del made[value]
    parts = before.parts + node.parts
    return before._replace(kind="batch_norm_pool", pool=node.layer, y=node.y, parts=parts)


def _with_second(node, made, readers):
    """A batch norm with a sum as one of two norms, where the other summand is one too."""
    if node.kind != "batch_norm" or node.takes_sum() or node.activation is not None:
        return node
    x, value = node.inputs
    second = made.get(value)
    if second is None or second.kind != "batch_norm" or second.activation is not None:
        return node
    if readers[value] > 1 or not second.takes_sum():
        return node
    del made[value]
    return node._replace(kind="batch_norm_sum", inputs=(x, *second.inputs), second=second)


def count_readers(nodes, output):
    """How many nodes read each value; the caller reads the output."""
    readers = Counter(value for node in nodes for value in node.inputs)
    readers[output] += 1
    return readers


def _joined(before, node, value, summing):
    """One node for two, or None where no kernel does both."""
    parts = before.parts + node.parts
    if before.activation is not None:
        return None
    if node.kind == "relu" and before.kind in _TAKING_RELU:
        return before._replace(y=node.y, activation="relu", parts=parts)
    if node.kind in ("relu6", "leaky_relu") and before.kind == "conv2d" and before.takes_sum():
        activation = "relu6" if node.kind == "relu6" else ("leaky_relu", node.layer.slope)
        return before._replace(y=node.y, activation=activation, parts=parts)
    if node.kind == "add" and before.kind in summing and before.takes_sum():
        first, second = node.inputs
        other = second if value == first else first
        return before._replace(inputs=(*before.inputs, other), y=node.y, parts=parts)
    return None
