"""The report of a plan, kernel by kernel, as a table."""

from __future__ import annotations

import math

from ..summary import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

HEADINGS = ("layer", "kernel", "output shape", "algorithm")
NUMBERS = ("multiply-adds", "bytes", "workspace")


class Report:
    """What runs for one shape, kernel by kernel; prints as a table.

    Attributes
    ----------
    rows : list of dict with
        path : str, the path of the layer whose parameters the kernel uses, as in `state_dict`
        second : str or None, the path of the second batch norm, if the kernel sums two
        kernel : str, the fused layers, such as "BatchNorm+add+ReLU"
        output_shape : tuple
        algorithms : dict, the algorithm of a convolution in each pass that runs: "forward",
            "backward_data" and "backward_weights"
        multiply_adds : int, multiplications by a weight in one forward pass
        bytes : int, of the output; 0 if it is a view of the input
        workspace : int, the bytes of workspace of a convolution, in the pass that takes most
        kept : bool, whether the output is kept for backward; if not, it is recomputed there or not
            needed
        call : bool, whether Python calls the kernel by itself; if not, a program of the core does
    multiply_adds, bytes : int, the totals
    kept_bytes : int, the bytes of the outputs that are kept
    workspace : int, the largest workspace
    calls : int, the calls from Python in one forward pass: the rows that are one each, and programs
    one_call : bool, whether the whole model is one call of the core, as a folded one may be

    Examples
    --------
    >>> from convlet import BatchNorm, Conv2d, ReLU, Sequential
    >>> model = Sequential(Conv2d(3, 4, 3), BatchNorm(4), ReLU())
    >>> [row["kernel"] for row in model.plan((8, 6, 6, 3)).rows]
    ['Conv2d', 'BatchNorm+ReLU']
    """

    rows: list[dict[str, Any]]

    def __init__(self, plan, dtype: np.dtype, *, one_call: bool = False) -> None:
        self.calls, self.one_call = len(plan.calls), one_call
        self._training = plan.training
        self.input_shape = plan.graph.shapes[0]
        kept = {value for step in plan.backward for value in step.reads} - plan.remade.keys()
        self.rows = [_row(step, dtype, step.y in kept, step in plan.calls) for step in plan.steps]
        self.multiply_adds = sum(row["multiply_adds"] for row in self.rows)
        self.bytes = sum(row["bytes"] for row in self.rows)
        self.kept_bytes = sum(row["bytes"] for row in self.rows if row["kept"])
        self.workspace = max((row["workspace"] for row in self.rows), default=0)

    def count(self, kernel: str) -> int:
        """Return how often a kernel, such as "BatchNorm+add+ReLU", runs."""
        return sum(row["kernel"] == kernel for row in self.rows)

    def __repr__(self) -> str:
        # Inference keeps nothing, and its calls are what tells folded plans apart.
        mark, total = ("kept", self.kept_bytes) if self._training else ("call", self.calls)
        headings = (*HEADINGS, mark, *NUMBERS)
        lines = [headings, ("", "input", str(self.input_shape), "", "", "", "", "")]
        for row in self.rows:
            names = dict.fromkeys(row["algorithms"].values())
            marked = "yes" if row[mark] else ""
            numbers = (f"{row[name]:,}" for name in ("multiply_adds", "bytes", "workspace"))
            shape = str(row["output_shape"])
            path = " + ".join(filter(None, (row["path"], row["second"])))
            lines.append((path, row["kernel"], shape, "/".join(names), marked, *numbers))
        totals = (total, self.multiply_adds, self.bytes, self.workspace)
        lines.append(("total", "", "", "", *(f"{total:,}" for total in totals)))
        return table(lines, 4)


def _row(step, dtype, kept, call):
    algorithms = step.algorithms()
    return {
        "path": step.where.path,
        "second": None if step.second is None else step.second.where.path,
        "kernel": "+".join(step.parts),
        "output_shape": step.shape,
        "algorithms": {name: found["algorithm"] for name, found in algorithms.items()},
        "multiply_adds": step.multiply_adds(),
        "bytes": 0 if step.layer._is_view else math.prod(step.shape) * dtype.itemsize,
        "workspace": max((found["workspace"] for found in algorithms.values()), default=0),
        "kept": kept,
        "call": call,
    }
