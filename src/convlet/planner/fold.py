"""Folded models: for inference only, with batch norms folded into the weights before them."""

from __future__ import annotations

import copy

import numpy as np

from .._calls import explain_attribute
from .._checks import any_shape
from .._core import empty
from .._names import FOLDED_NAMES
from ..options import get_options
from ..parameter import Parameter, pack_values
from ..threads import get_num_threads
from .fusion import count_readers, fuse
from .graph import Graph
from .plan import PLANS_KEPT, Plan
from .program import Part, compiled
from .report import Report
from .steps import STEPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._types import Array, Shape
    from ..layers import Layer


class FoldedModel:
    """An immutable copy of a model for inference, made by `Layer.fold`: y = folded(x).

    Any number of threads may call it at once. The first call with a shape plans for it. If the core
    has an operator for every layer, the model then runs as one call of the core. Any other layer,
    such as one of your own, is called from Python between those before it and those after it, each
    of which are one call. `convlet.options` apply as they are at the call.

    Parameters
    ----------
    model : Layer

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import BatchNorm, Conv2d, ReLU, Sequential
    >>> folded = Sequential(Conv2d(3, 4, 3), BatchNorm(4), ReLU()).fold()
    >>> folded(np.zeros((1, 6, 6, 3), np.float32)).shape
    (1, 4, 4, 4)
    >>> [row["kernel"] for row in folded.plan((1, 6, 6, 3)).rows]
    ['Conv2d+BatchNorm+ReLU']
    """

    def __init__(self, model: Layer) -> None:
        self.__setstate__({"_model": copy.deepcopy(model)})

    def __call__(self, x: Array) -> np.ndarray:
        """Infer: compute y from x.

        Parameters
        ----------
        x : array (N, ...), channels last, of the parameters' dtype

        Returns
        -------
        y : ndarray (N, ...), of the same dtype

        Raises
        ------
        TypeError, ValueError : as of the model that this is a copy of.
        """
        x = self._model._array(x)
        plan, program = self._run(x.shape, x.dtype)
        if program is None:
            return plan.infer(x)
        y = empty(plan.shape, plan.code)
        program.run(y, x, get_num_threads())
        return y

    def output_shape(self, shape: Shape) -> tuple[int, ...]:
        """Return the shape of y for an x of this shape, or raise if such an x is refused."""
        return self._model.output_shape(shape)

    def plan(self, shape: Shape) -> Report:
        """Report what runs for an x of this shape, as `Layer.plan` does.

        Parameters
        ----------
        shape : tuple (N, ...)

        Returns
        -------
        Report : prints as a table; `one_call` says whether it runs as one call of the core, and
            rows that Python calls have `call` True

        Raises
        ------
        TypeError, ValueError : as of `Layer.output_shape`.
        """
        dtype = self.dtype or np.dtype(np.float32)
        shape = any_shape(shape, "FoldedModel: shape")
        plan, program = self._run(shape, dtype)
        return Report(plan, dtype, one_call=program is not None)

    @property
    def dtype(self) -> np.dtype | None:
        """The dtype of the parameters, or None where there are none."""
        return self._model.dtype

    if not TYPE_CHECKING:  # else a type checker would accept any attribute

        def __getattr__(self, name):
            return explain_attribute(self, name, FOLDED_NAMES)

    def _run(self, shape, dtype):
        key = shape, dtype.char, get_options()
        run = self._runs.get(key)
        if run is None:
            self._model._check(shape, dtype, False)
            graph = Graph(self._model, shape)
            nodes = self._fold(graph)
            nodes = fuse(
                nodes, graph.output, summing=("conv2d", "batch_norm"), pairs=False, pools=False
            )
            plan = Plan(graph, nodes, STEPS, dtype, False, False)
            plan.calls = compiled(plan, dtype)
            whole = len(plan.calls) == 1 and isinstance(plan.calls[0], Part)
            run = plan, plan.calls[0].program if whole else None
            if len(self._runs) >= PLANS_KEPT:
                self._runs.clear()
            self._runs[key] = run
        return run

    def _fold(self, graph):
        """The nodes, with batch norms folded into the linear maps before them."""
        readers, made = count_readers(graph.nodes, graph.output), {}
        for node in graph.nodes:
            before = made.get(node.inputs[0])
            if before is not None and readers[before.y] == 1 and _takes_norm(before, node):
                del made[before.y]
                layer = self._with_norm(before.layer, node.layer)
                node = before._replace(layer=layer, y=node.y, parts=before.parts + node.parts)
            made[node.y] = node
        return list(made.values())

    def _with_norm(self, layer, norm):
        """A copy of a layer with the batch norm after it folded into its weights, made once."""
        key = id(layer), id(norm)
        folded = self._folded.get(key)
        if folded is None:
            gamma, beta = norm._scale_and_shift()
            mean, var = norm._running()
            bias = 0.0 if layer.bias is None else layer.bias.value
            folded = copy.copy(layer)
            with np.errstate(under="ignore"):  # small weights are none of the caller's errors
                scale = gamma / np.sqrt(var + norm.eps)
                folded.weight = Parameter(_scaled(layer, scale).astype(layer.dtype))
                folded.bias = Parameter((beta + (bias - mean) * scale).astype(layer.dtype))
            folded = self._folded.setdefault(key, folded)
        return folded

    def __getstate__(self):
        return {"_model": self._model}

    def __setstate__(self, state):
        self._model = state["_model"]
        pack_values(self._model._all_parameters())
        self._folded = {}  # layers with a batch norm in their weights, by what they are made of
        self._runs = {}  # (plan, program or None) by shape: one program, or the plan runs

    def __repr__(self) -> str:
        return f"FoldedModel({self._model!r})"


def _scaled(layer, scale):
    """The weights of a layer with each output channel times a number."""
    weight = layer.weight.value
    if layer._kind != "conv_transpose2d":
        return weight * scale
    kh, kw, own, channels = weight.shape  # own: outputs of a group
    groups = layer.groups
    by_group = weight.reshape(kh, kw, own, groups, channels // groups)
    return (by_group * scale.reshape(groups, own).T[:, :, None]).reshape(weight.shape)


def _takes_norm(before, node):
    """Whether the node is a batch norm by running statistics that the layer before it can take."""
    return (
        node.kind == "batch_norm"
        and node.layer._takes_running(training=False)
        and before.kind in ("conv2d", "conv_transpose2d", "linear")
        and before.activation is None
    )
