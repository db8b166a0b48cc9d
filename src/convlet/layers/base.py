"""The base class of layers: inference, training, parameters and state."""

from __future__ import annotations

import copy

import numpy as np

from .. import planner
from .._calls import explain_attribute, explain_init
from .._checks import any_shape, array, floating
from ..parameter import FLOATS, Parameter, pack
from ..summary import Summary
from .attributes import FOREIGN_NAMES, check_assignment
from .custom import custom_forward, custom_pullback, measured_shape
from .paths import join
from .pullback import Pullback
from .recalibrate import recalibrate
from .state_dict import load_state, state_places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Self

    from numpy.typing import ArrayLike

    from .._types import Array, Float, Shape


class Layer:
    """A function of arrays with parameters; see `__call__` for inference and `vjp` for training.

    A custom layer derives from this class and defines

    - `forward(x)`, which returns (y, pullback). y depends on x alone and is the same at both doors;
      the pullback turns dy, of the shape of y, into dx, of the shape of x, and adds to the
      gradients of the parameters by `parameter.accumulate(gradient)`, which skips frozen ones.
      x and dy are read-only;
    - `parameter_names`, the names of the attributes that hold a `Parameter`, if there are any;
    - optionally `output_shape(shape)`, which returns the shape of y or raises a ValueError that
      says what is wrong. Without it, `forward` is called on ones, once for each new shape.

    It then works wherever a layer does. To combine layers, use `Sequential`, `Residual` and
    `Concat`.

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Layer, Linear, Parameter, Sequential
    >>> class Scale(Layer):
    ...     parameter_names = ("scale",)
    ...
    ...     def __init__(self, channels):
    ...         self.scale = Parameter(np.full(channels, 2, np.float32), kind="norm", name="scale")
    ...
    ...     def forward(self, x):
    ...         def pullback(dy):
    ...             self.scale.accumulate((dy * x).sum(axis=tuple(range(x.ndim - 1))))
    ...             return dy * self.scale.value
    ...
    ...         return x * self.scale.value, pullback
    >>> model = Sequential(Linear(3, 2), Scale(2))
    >>> y, pullback = model.vjp(np.ones((1, 3), np.float32))
    >>> pullback(np.ones_like(y)).shape, list(model.state_dict())
    ((1, 3), ['0.weight', '0.bias', '1.scale'])
    """

    # The layers of this package define `_output_shape(shape)`, which raises a ValueError for a
    # shape they cannot take; `_apply(x)`; and `_vjp(x, input_grad, commits)`, which returns
    # (y, pull) and appends to `commits` the calls that change the layer's state. `pull` is called
    # only where dx or a gradient of a parameter is wanted. A container lists its layers in
    # `_children()` and adds them to a graph in `_lower()`. Both doors check everything first and
    # then run a plan (see convlet.planner). It calls `_apply` and `_vjp`, or, where the planner has
    # a step for the layer's `_kind`, does the same with fewer and larger kernels.

    parameter_names: tuple[str, ...] = ()
    _kind: str | None = None  # what the planner calls the layer
    _edits = 0  # counts the changes that make plans stale; see __setattr__
    _changes = frozenset({"_packed", "_plans"})  # attributes that no plan depends on
    _plans = None  # the plans made with this layer as the outermost one
    _packed = False  # whether this layer, as the outermost one, has packed its parameters
    _draws = False  # whether parameters are drawn at random, from _rng or fresh entropy
    _rng = None
    _is_view = False  # whether y shares the memory of x

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        runs_itself = cls._vjp is not Layer._vjp or cls._lower is not Layer._lower
        if "forward" in vars(cls) and runs_itself:
            raise TypeError(
                f"{cls.__name__}: forward would never be called, since {cls.__base__.__name__} "
                "runs without one; derive from Layer instead"
            )
        explain_init(cls)

    def __call__(self, x: Array) -> np.ndarray:
        """Infer: compute y from x with running statistics; nothing is saved or changed.

        Any number of threads may call it at once.

        Parameters
        ----------
        x : array (N, ...), channels last, of the parameters' dtype

        Returns
        -------
        y : ndarray (N, ...), of the same dtype

        Raises
        ------
        TypeError : x is not a plain array of the right dtype.
        ValueError : the rank, channels or size of x do not suit this layer or one inside it; the
            message names the layer, what it expected, what it got and how to fix it.
        """
        x = self._array(x)
        return self._planned().plan(x.shape, x.dtype, False).infer(x)

    def vjp(self, x: Array, *, input_grad: bool = True) -> tuple[np.ndarray, Pullback]:
        """Train: compute y from x, and the pullback that turns a gradient of y into one of x.

        The pullback adds to the `grad` of every trainable parameter and returns dx. Call it once.
        It frees what it saved when it has been called, or with the last reference to it; until then
        do not write to x, y or the parameters.

        Parameters
        ----------
        x : array (N, ...), channels last, of the parameters' dtype
        input_grad : bool; False if dx is not needed; it is then not computed

        Returns
        -------
        y : ndarray (N, ...)
        pullback : callable, dy like y -> dx like x, or None with input_grad=False

        Raises
        ------
        TypeError, ValueError : as in inference; nothing has been computed or changed.
        FloatingPointError : the batch statistics of a batch norm are not finite; nothing has
            changed.
        """
        run = self._train(x, bool(input_grad))
        for commit in run.commits:
            commit()
        return run.y, Pullback(self, run.y, run.pull)

    def output_shape(self, shape: Shape) -> tuple[int, ...]:
        """Return the shape of y for an x of this shape.

        Parameters
        ----------
        shape : tuple (N, ...)

        Raises
        ------
        TypeError : shape is not a tuple of integers.
        ValueError : x of this shape would be refused.
        """
        return self._check(self._given(shape), None, training=False)

    def parameters(self) -> list[Parameter]:
        """List the parameters of this layer and all inside it, each once, in layer order.

        The first call on the outermost layer draws them and packs them into one block of memory;
        from then on their arrays do not move.

        Returns
        -------
        parameters : list of Parameter, for an optimizer
        """
        self._pack()
        return self._all_parameters()

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """List the parameters as `parameters` does, each with its key in `state_dict`.

        Returns
        -------
        pairs : list of (str, Parameter)

        Examples
        --------
        >>> from convlet import BatchNorm, Linear, Sequential
        >>> model = Sequential(Linear(3, 2), BatchNorm(2))
        >>> [name for name, parameter in model.named_parameters() if parameter.kind != "norm"]
        ['0.weight', '0.bias']
        """
        self._pack()
        names = {}
        for path, layer in self._walk():
            for name in layer.parameter_names:
                parameter = getattr(layer, name)
                if parameter is not None:
                    names.setdefault(id(parameter), (join(path, name), parameter))
        return list(names.values())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of everything the layer has learnt, under keys such as "0.weight".

        A key is the path of a layer in its containers, and a name: a parameter (weight, bias,
        gamma, beta), a statistic of a batch norm (running_mean, running_var, count), or the state
        of a dropout (seed, counter).

        Returns
        -------
        state : dict of str to ndarray

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from convlet import Linear, Sequential
        >>> model, other = Sequential(Linear(3, 2), rng=0), Sequential(Linear(3, 2), rng=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/model.npz", **model.state_dict())
        ...     with np.load(f"{folder}/model.npz") as state:
        ...         other.load_state_dict(state)
        >>> bool(np.array_equal(model[0].weight.value, other[0].weight.value))
        True
        """
        return {key: value.copy() for key, (_, _, value) in state_places(self).items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Load a state as `state_dict` returns it.

        Parameters
        ----------
        state : mapping of str to array_like

        Raises
        ------
        TypeError : state is not a mapping, or one of its values is a masked array or not an array;
            nothing has been written.
        ValueError : keys are missing or unexpected, shapes or dtypes differ, or a number is out of
            range, such as a variance below 0; the message lists all of them, and nothing has been
            written.
        """
        load_state(self, state)

    def freeze(self) -> None:
        """Stop training this layer: its parameters get no gradient, and optimizers skip them.

        At the training door, too, a frozen batch norm normalises by its running statistics and
        leaves them unchanged. `layer.trainable = False` does the same.

        Examples
        --------
        >>> from convlet import models
        >>> model = models.lenet(classes=3)
        >>> model.freeze()
        >>> model[-1].unfreeze()  # to train the last layer alone
        >>> [p.trainable for p in model.parameters()][-4:]
        [False, False, True, True]
        """
        self._set_frozen(True)

    def unfreeze(self) -> None:
        """Undo `freeze`."""
        self._set_frozen(False)

    @property
    def trainable(self) -> bool:
        """Whether training changes anything inside: a parameter, or running statistics.

        Assigning False is `freeze()`, and assigning True `unfreeze()`.
        """
        return any(layer._learns() for _, layer in self._walk())

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        if not isinstance(trainable, (bool, np.bool_)):
            raise TypeError(
                f"{self._label()}: expected trainable to be True or False, got {trainable!r}"
            )
        self._set_frozen(not trainable)

    def recalibrate(self, data: Array | Iterable[Array | Sequence[Array]]) -> None:
        """Set the running statistics of every batch norm inside to those of a whole data set.

        The data pass through the training door once. Each batch norm gets the mean and variance of
        all values that reached it, the batches merged in order in double, in place of its moving
        averages. Nothing else changes. As in training, earlier batch norms normalise by the batch,
        so use batches as large as those of training.

        Parameters
        ----------
        data : array (N, ...) as one batch, or an iterable of batches: arrays, or tuples whose first
            item is one, such as (x, labels)

        Raises
        ------
        TypeError, ValueError : a batch does not suit the layer, there is no batch, or no batch norm
            inside would be set (frozen ones keep their statistics); nothing has changed.
        FloatingPointError : the statistics are not finite; nothing has changed.

        References
        ----------
        Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 2

        Examples
        --------
        >>> import numpy as np
        >>> from convlet import BatchNorm
        >>> layer = BatchNorm(1, running_var="biased")
        >>> layer.recalibrate([np.array([[1], [2]], np.float32), np.array([[3], [6]], np.float32)])
        >>> layer.running_mean, layer.running_var
        (array([3.], dtype=float32), array([3.5], dtype=float32))
        """
        recalibrate(self, data)

    def astype(self, dtype: Float) -> Self:
        """Return a copy whose parameters and statistics are float32 or float64.

        Parameters
        ----------
        dtype : float32 or float64

        Returns
        -------
        layer : of the same class; the original does not change

        Raises
        ------
        TypeError : dtype is neither.

        Examples
        --------
        >>> from convlet import Linear
        >>> Linear(3, 2).astype("float64").dtype
        dtype('float64')
        """
        dtype = floating(dtype, f"{self._label()}: dtype")
        new = copy.deepcopy(self)
        for _, layer in new._walk():
            layer._cast(dtype)
        return new

    def summary(self, shape: Shape) -> Summary:
        """Tabulate shapes, parameters, multiply-adds and bytes for an x of this shape.

        Parameters
        ----------
        shape : tuple (N, ...)

        Returns
        -------
        Summary : prints as a table

        Raises
        ------
        TypeError, ValueError : as of `output_shape`.
        """
        shape = self._given(shape)
        self._check(shape, None, training=False)
        return Summary(self, shape)

    def plan(
        self, shape: Shape, *, training: bool = True, input_grad: bool = False
    ) -> planner.Report:
        """Report what runs for an x of this shape: which kernels, what they fuse, what they cost.

        Parameters
        ----------
        shape : tuple (N, ...)
        training : bool, default True; False for the inference door
        input_grad : bool, default False; whether dx is wanted

        Returns
        -------
        Report : prints as a table

        Raises
        ------
        TypeError, ValueError : x of this shape would be refused.

        Examples
        --------
        >>> from convlet import models
        >>> plan = models.resnet20().plan((128, 32, 32, 3))
        >>> plan.count("BatchNorm+add+ReLU")
        9
        """
        dtype = self.dtype or FLOATS[0]
        shape = self._given(shape)
        plan = self._planned().plan(shape, dtype, bool(training), bool(input_grad))
        return planner.Report(plan, dtype)

    def fold(self) -> planner.FoldedModel:
        """Return an immutable copy for inference only, several times faster on small batches.

        Every batch norm that follows a convolution or linear layer is folded into its weights, sums
        and ReLUs are fused with convolutions, and the model runs as one call of the core, in
        buffers that are planned ahead. It agrees with this layer's inference door up to rounding,
        and does not follow later changes.

        Returns
        -------
        FoldedModel : x (N, ...) -> y (N, ...); any number of threads may call it

        Examples
        --------
        >>> import numpy as np
        >>> from convlet import models
        >>> model = models.digits(rng=0)
        >>> x = np.ones((1, 8, 8, 1), np.float32)
        >>> bool(np.allclose(model.fold()(x), model(x), atol=1e-5))
        True
        """
        return planner.FoldedModel(self)

    @property
    def dtype(self) -> np.dtype | None:
        """The dtype of the parameters, or None where there are none."""
        for name in self.parameter_names:
            parameter = getattr(self, name)
            if parameter is not None:
                return parameter.dtype
        for _, layer in self._children():
            if layer.dtype is not None:
                return layer.dtype
        return None

    # What a subclass may override.

    def _output_shape(self, shape):
        if type(self).output_shape is not Layer.output_shape:
            return tuple(self.output_shape(shape))
        return measured_shape(self, shape)

    def _apply(self, x):
        return custom_forward(self, x)[0]

    def _vjp(self, x, input_grad, commits):
        y, pull = custom_forward(self, x)
        return y, custom_pullback(self, x, pull, input_grad)

    def _check(self, shape, dtype, training):
        """Return the output shape; raise if x of this shape and dtype (None: any) is refused."""
        own = self.dtype
        if dtype is not None and dtype != own and (own is not None or dtype not in FLOATS):
            expected = "float32 or float64" if own is None else f"{own}, as its parameters are"
            raise TypeError(
                f"{self!r}: expected x of {expected}, got {dtype}; "
                f"use x.astype(np.{own or 'float32'})"
                + (f", or the layer's astype(np.{dtype})" if own and dtype in FLOATS else "")
            )
        return self._output_shape(shape)

    def _children(self):
        """(name, layer) of each layer inside."""
        return ()

    def _state(self):
        """The layer's own state, arrays by name."""
        named = ((name, getattr(self, name)) for name in self.parameter_names)
        return {name: parameter.value for name, parameter in named if parameter is not None}

    def _objections(self, name, value):
        """Reasons not to load this piece of state, apart from its shape and dtype."""
        return []

    def _load(self, name, value):
        getattr(self, name).value = value

    def _freeze(self, frozen):
        for parameter in self._own():
            parameter.trainable = not frozen

    def _learns(self):
        """Whether training changes this layer itself, those inside aside."""
        return any(p.trainable for p in self._own())

    def _cast(self, dtype):
        for parameter in self._own():
            parameter.cast(dtype)

    def _lower(self, graph, x, where):
        """Append the nodes that compute y from value x to a graph; return the number of y."""
        return graph.layer(self, x, where)

    def _multiply_adds(self, shape):
        """Multiplications by a weight, for an x of this shape."""
        return 0

    def _trace(self, shape, path=""):
        """Yield (path, layer, input shape, output shape) in the order of computation."""
        yield path, self, shape, self.output_shape(shape)

    # What is the same for every layer.

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, and discard the plans that may depend on it.

        Raises
        ------
        AttributeError, TypeError : it would have no effect: a parameter missing from
            `parameter_names`, a layer inside one that is not a container, or a mode that other
            libraries have.
        """
        check_assignment(self, name, value, Layer)
        if name not in self._changes and (self._kind or isinstance(value, (Layer, Parameter))):
            self.__dict__["_edits"] = self._edits + 1
        object.__setattr__(self, name, value)

    if not TYPE_CHECKING:  # else a type checker would accept any attribute

        def __getattr__(self, name):
            return explain_attribute(self, name, FOREIGN_NAMES)

    def _array(self, x):
        if type(x) is np.ndarray and x.dtype in FLOATS and x.flags.carray:
            return x
        return array(x, f"{self._label()}: x")

    def _given(self, shape):
        return any_shape(shape, f"{self._label()}: shape")

    def _planned(self):
        plans = self._plans
        if plans is None or not plans.is_current():
            plans = self._plans = planner.Planned(self)
        return plans

    def _train(self, x, input_grad):
        """Run the forward pass of training, without its commits."""
        x = self._array(x)
        plan = self._planned().plan(x.shape, x.dtype, True, input_grad)
        self._pack()
        return planner.Pass(plan, x)

    def _own(self):
        named = (getattr(self, name) for name in self.parameter_names)
        return [parameter for parameter in named if parameter is not None]

    def _walk(self):
        """Yield (path, layer) of this layer and all inside it, each layer once, in order."""
        seen, stack = set(), [("", self)]
        while stack:
            path, layer = stack.pop()
            if id(layer) not in seen:
                seen.add(id(layer))
                yield path, layer
                inner = [(join(path, name), child) for name, child in layer._children()]
                stack.extend(reversed(inner))

    def _all_parameters(self):
        unique = {id(p): p for _, layer in self._walk() for p in layer._own()}
        return list(unique.values())

    def _trains(self):
        return any(p.trainable for p in self._own()) or any(
            child._trains() for _, child in self._children()
        )

    def _pack(self):
        if not self._packed:
            pack(self._all_parameters())
            self._packed = True

    def _spawn(self, rng):
        """Give each layer that draws and has no generator one of its own, in layer order."""
        if rng is not None:
            rng = np.random.default_rng(rng)
            for _, layer in self._walk():
                if layer._draws:
                    (child,) = rng.spawn(1)
                    layer._rng = child if layer._rng is None else layer._rng

    def _set_frozen(self, frozen):
        for _, layer in self._walk():
            layer._freeze(frozen)

    def _label(self):
        """What messages call the layer."""
        return repr(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"

    def __getstate__(self) -> dict[str, Any]:
        # A copy packs memory of its own; its parameters are drawn by then.
        return self.__dict__ | {"_packed": False, "_plans": None, "_rng": None}
