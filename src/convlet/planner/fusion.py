"""Joining nodes that one kernel can compute.

Two neighbours are joined where the value between them has no other reader. The order of computation
stays that of the later one, so a batch norm waits for the other summand.
"""

from __future__ import annotations

from collections import Counter


def fuse(nodes, output, summing=("batch_norm",)):
    """Return the nodes with every chain joined that has a kernel.

    Conv2d -> ReLU, BatchNorm -> ReLU, BatchNorm -> add and BatchNorm -> add -> ReLU; `summing` are
    the kinds that take a sum. Where both summands could, the first, which is the body's, does.
    """
    readers = count_readers(nodes, output)
    made = {}  # the nodes so far, by their values
    for node in nodes:
        for value in node.inputs if node.kind in ("relu", "add") else ():
            before = made.get(value)
            if before is not None and readers[value] == 1:
                joined = _joined(before, node, value, summing)
                if joined is not None:
                    del made[value]
                    node = joined
                    break
        made[node.y] = node
    return list(made.values())


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
    if node.kind == "relu" and before.kind in ("conv2d", "batch_norm"):
        return before._replace(y=node.y, activation="relu", parts=parts)
    if node.kind == "add" and before.kind in summing and len(before.inputs) == 1:
        first, second = node.inputs
        other = second if value == first else first
        return before._replace(inputs=(*before.inputs, other), y=node.y, parts=parts)
    return None
