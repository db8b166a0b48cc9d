"""Joining nodes that one kernel can compute.

Two neighbours are joined where the value between them has no other reader. The order of computation
stays that of the later one, so a batch norm waits for the other summand.
"""

from __future__ import annotations

from collections import Counter


def fuse(graph):
    """Return the nodes of a graph with every chain joined that has a kernel.

    Conv2d -> ReLU, BatchNorm -> ReLU, BatchNorm -> add and BatchNorm -> add -> ReLU. Where both
    summands are batch norms, the first, which is the body's, takes the sum.
    """
    readers = Counter(value for node in graph.nodes for value in node.inputs)
    readers[graph.output] += 1
    made = {}  # the nodes so far, by their values
    for node in graph.nodes:
        for value in node.inputs if node.kind in ("relu", "add") else ():
            before = made.get(value)
            if before is not None and readers[value] == 1:
                joined = _joined(before, node, value)
                if joined is not None:
                    del made[value]
                    node = joined
                    break
        made[node.y] = node
    return list(made.values())


def _joined(before, node, value):
    """One node for two, or None where no kernel does both."""
    parts = before.parts + node.parts
    if before.activation is not None:
        return None
    if node.kind == "relu" and before.kind in ("conv2d", "batch_norm"):
        return before._replace(y=node.y, activation="relu", parts=parts)
    if node.kind == "add" and before.kind == "batch_norm" and len(before.inputs) == 1:
        first, second = node.inputs
        other = second if value == first else first
        return before._replace(inputs=(*before.inputs, other), y=node.y, parts=parts)
    return None
