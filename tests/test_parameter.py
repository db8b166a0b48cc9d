"""Parameters: what they copy, what they refuse, and the memory they live in."""

import copy
import itertools
import pickle
import re

import numpy as np
import pytest

import convlet as cl
from convlet.parameter import line_zeros


def address(array):
    return array.__array_interface__["data"][0]


def small_model():
    return cl.Sequential(cl.Conv2d(2, 3, 3), cl.BatchNorm(3), cl.Flatten(), cl.Linear(3, 4), rng=0)


def test_value_is_copied_and_gradient_is_zero():
    """A parameter holds a copy of its value, and a gradient of zeros of the same kind."""
    source = np.arange(6, dtype=np.float64).reshape(2, 3)
    p = cl.Parameter(source, kind="bias", name="b")
    source[...] = 7

    np.testing.assert_array_equal([[0, 1, 2], [3, 4, 5]], p.value)
    np.testing.assert_array_equal(np.zeros((2, 3)), p.grad)
    assert (np.float64, np.float64) == (p.value.dtype, p.grad.dtype)
    assert ("bias", "b", True, 6) == (p.kind, p.name, p.trainable, p.size)


def test_a_packed_parameter_that_is_cast_leaves_its_block():
    """A packed parameter owns its memory once it is cast, and an optimizer steps what it shows."""
    weight = cl.Linear(3, 2, rng=0).parameters()[0]
    weight.cast(np.dtype(np.float64))
    before = weight.value.copy()
    weight.grad[...] = 1
    cl.SGD([weight], lr=0.5).step()

    np.testing.assert_array_equal(before - 0.5, weight.value)
    assert weight.place() is None


@pytest.mark.parametrize(
    "layout",
    [
        lambda a: a[:, ::-1],
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(">f4"),
        lambda a: np.broadcast_to(a[:1], a.shape),
    ],
)
def test_value_of_any_layout(layout):
    """Strided, Fortran-ordered, byte-swapped and read-only values become plain ones."""
    source = layout(np.arange(6, dtype=np.float32).reshape(2, 3))
    value = cl.Parameter(source).value

    np.testing.assert_array_equal(source, value)
    assert value.flags.carray
    assert np.float32 == value.dtype


@pytest.mark.parametrize(("floats", "boundary"), [(16, 64), (1 << 19, 1 << 21)])
def test_large_parameters_begin_on_a_huge_page(floats, boundary):
    """Values and gradients of 2 MiB begin where a huge page may, smaller ones on a cache line."""
    p = cl.Parameter(np.zeros(floats, np.float32))

    assert {0} == {address(array) % boundary for array in (p.value, p.grad)}


def test_more_memory_than_there_is():
    """It is Python's usual error, whatever the memory comes from."""
    with pytest.raises(MemoryError):
        line_zeros((1 << 60,), np.float32)


@pytest.mark.parametrize("what", ["value", "grad"])
def test_assignment_copies_into_the_same_memory(what):
    """Assigning a value or a gradient keeps the array and takes the numbers."""
    p = cl.Parameter(np.zeros((2, 2), np.float32))
    before, new = getattr(p, what), np.ones((2, 2), np.float32)
    setattr(p, what, new)
    new[...] = 5

    assert getattr(p, what) is before
    np.testing.assert_array_equal(np.ones((2, 2)), before)


@pytest.mark.parametrize("what", ["value", "grad"])
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (np.ones(4, np.float32), ValueError, r"shape \(2, 2\), got \(4,\)"),
        (np.ones((1, 2), np.float32), ValueError, r"shape \(2, 2\), got \(1, 2\)$"),
        (np.ones(1, np.float32), ValueError, r"got \(1,\); fill it .*\[\.\.\.\] = number"),
        (np.ones((2, 2)), TypeError, "float32, got float64"),
        (np.ones((2, 2), int), TypeError, "int64, expected float32"),
        (None, TypeError, "NoneType"),
        (np.ma.ones((2, 2), np.float32), TypeError, "masked"),
    ],
)
def test_assignment_refuses_what_does_not_fit(what, wrong, error, message):
    """Another shape or type is an error that names both, and nothing is written."""
    p = cl.Parameter(np.zeros((2, 2), np.float32))
    with pytest.raises(error, match=message):
        setattr(p, what, wrong)

    assert not getattr(p, what).any()


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (np.ones(3, int), TypeError),
        (np.ones(3, np.float16), TypeError),
        (np.ones(3, complex), TypeError),
        (None, TypeError),
        (np.ma.ones(3), TypeError),
        (["a"], TypeError),
    ],
)
def test_values_that_are_refused(value, error):
    """Only plain arrays of float32 and float64 become parameters."""
    with pytest.raises(error, match="Parameter"):
        cl.Parameter(value)


def test_unknown_kind():
    """The kind is one of three."""
    with pytest.raises(ValueError, match=r"'weight', 'bias', 'norm'.*got 'scale'"):
        cl.Parameter(np.ones(1), kind="scale")


def test_model_packs_values_and_gradients_in_order():
    """The outermost model lays its parameters side by side, values and gradients apart."""
    model = small_model()
    before = [p.value.copy() for p in model[0].parameters()]
    model = small_model()
    parameters = model.parameters()

    for what in ("value", "grad"):
        arrays = [getattr(p, what) for p in parameters]
        for left, right in itertools.pairwise(arrays):
            assert address(left) + left.nbytes == address(right)
    for value, p in zip(before, parameters, strict=False):
        np.testing.assert_array_equal(value, p.value)


def test_packed_parameters_never_move():
    """After the first use neither training nor another model changes where parameters are."""
    model = small_model()
    parameters = model.parameters()
    places = [(address(p.value), address(p.grad)) for p in parameters]
    x = np.ones((2, 3, 3, 2), np.float32)
    for _ in range(2):
        y, pullback = model.vjp(x)
        pullback(y)
        cl.SGD(parameters, lr=0.1).step()
    outer = cl.Sequential(model, cl.Linear(4, 2))
    outer.parameters()
    outer.load_state_dict(outer.state_dict())
    outer.freeze()

    assert places == [(address(p.value), address(p.grad)) for p in parameters]


def test_packing_keeps_values_gradients_and_foreign_parameters():
    """Numbers survive the move, and a part that is packed already stays where it is."""
    inner = cl.Linear(2, 3, rng=1)
    first = address(inner.parameters()[0].value)
    outer = cl.Sequential(inner, cl.Linear(3, 2, rng=2))
    weight = outer[1].weight
    weight.grad[...] = 4
    value = weight.value.copy()
    outer.parameters()

    assert first == address(inner.weight.value)
    np.testing.assert_array_equal(value, weight.value)
    np.testing.assert_array_equal(np.full((3, 2), 4), weight.grad)


def test_two_types_have_two_blocks():
    """Parameters of both types in one model are packed by type."""
    model = cl.Sequential(cl.Linear(2, 2, rng=0), cl.Linear(2, 2, rng=0).astype("float64"))
    dtypes = [p.value.dtype for p in model.parameters()]

    assert [np.float32, np.float32, np.float64, np.float64] == dtypes


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_memory_of_their_own(duplicate):
    """Deep copies and pickles of a packed model hold equal numbers elsewhere, packed again."""
    model = small_model()
    model.parameters()[0].grad[...] = 3
    model.parameters()[1].trainable = False
    twin = duplicate(model)
    pairs = list(zip(model.parameters(), twin.parameters(), strict=True))

    for p, q in pairs:
        np.testing.assert_array_equal(p.value, q.value)
        np.testing.assert_array_equal(p.grad, q.grad)
        assert not np.shares_memory(p.value, q.value)
        assert (p.kind, p.name, p.trainable) == (q.kind, q.name, q.trainable)
    values = [q.value for _, q in pairs]
    for left, right in itertools.pairwise(values):
        assert address(left) + left.nbytes == address(right)


@pytest.mark.parametrize("name", ["requires_grad", "data", "trainabel"])
def test_unknown_attributes_cannot_be_set(name):
    """What would have no effect is an error."""
    with pytest.raises(AttributeError, match=name):
        setattr(cl.Parameter(np.ones(3)), name, False)


def test_repr():
    """The representation names type, shape, kind and name."""
    p = cl.Parameter(np.ones((2, 3), np.float32), name="weight")

    assert "Parameter(float32[2, 3], kind='weight', name='weight')" == repr(p)


def test_a_parameter_is_an_array_to_numpy():
    """NumPy's functions read its value, and asarray is the value itself."""
    p = cl.Parameter(np.arange(3, dtype=np.float32))

    assert np.shares_memory(p.value, np.asarray(p))
    assert not np.shares_memory(p.value, np.array(p))
    assert (np.float64, np.float32(3)) == (np.asarray(p, np.float64).dtype, np.sum(p))
    np.testing.assert_array_equal(np.array([0, 2, 4], np.float32), np.full(3, 2, np.float32) * p)


def linear_and_gradient(rng):
    """A layer, its pullback and what one call of that adds to the weight's gradient."""
    layer = cl.Linear(5, 4, rng=0)
    model = cl.Sequential(layer)
    x, dy = (rng.standard_normal((3, n)).astype(np.float32) for n in (5, 4))
    return layer, lambda: model.vjp(x)[1](dy), cl.ops.linear_backward(dy, x, layer.weight.value)[1]


def test_pullbacks_add_up_until_the_gradient_is_zeroed(rng):
    """The first writes a gradient that is zero, all others add; zeroing begins anew."""
    layer, pull, dw = linear_and_gradient(rng)
    optimizer = cl.SGD(layer.parameters(), lr=0.0)
    kept = layer.weight.kept_grad()
    for zero in (optimizer.zero_grad, lambda: optimizer.step(zero_grad=True)):
        pull()
        np.testing.assert_array_equal(kept, dw)
        pull()
        np.testing.assert_array_equal(kept, dw + dw)
        zero()
        assert not kept.any()
    assert layer.weight.kept_grad() is kept


@pytest.mark.parametrize("fuse", [True, False])
def test_biases_and_norms_are_written_and_added_to_alike(rng, fuse):
    """A gradient that is written is the one that is added to zeros where somebody has the array."""
    x, dy = rng.standard_normal((3, 6, 6, 2)), rng.standard_normal((3, 5))
    layers = cl.Conv2d(2, 3, 3), cl.BatchNorm(3), cl.ReLU(), cl.Flatten(), cl.Linear(48, 5)
    model = cl.Sequential(*layers, rng=0).astype(np.float64)
    named, grads = model.named_parameters(), {}
    for lent in (False, True):
        with cl.options(fuse=fuse):
            model.vjp(x)[1](dy)
            once = {name: p.kept_grad().copy() for name, p in named}
            model.vjp(x)[1](dy)
        for name, p in named:
            np.testing.assert_array_equal(p.kept_grad(), 2 * once[name], err_msg=name)
            p.clear_grad()
            assert not p.grad.any()
        grads[lent] = once
    assert grads[False].keys() == grads[True].keys() >= {"0.bias", "1.gamma", "1.beta", "4.bias"}
    for name, gradient in grads[False].items():
        assert gradient.any(), name
        np.testing.assert_array_equal(gradient, grads[True][name], err_msg=name)


def test_what_others_write_to_a_gradient_is_added_to(rng):
    """Whoever took `grad` may write to it at any time, also after it was zeroed."""
    layer, pull, dw = linear_and_gradient(rng)
    optimizer = cl.SGD(layer.parameters(), lr=0.0)
    grad = layer.weight.grad
    optimizer.zero_grad()
    grad += 1
    pull()
    np.testing.assert_array_equal(grad, dw + 1)


def test_assigned_and_accumulated_gradients_are_added_to(rng):
    """Neither leaves the gradient to be written over; nor does pickling one that is not zero."""
    layer, pull, dw = linear_and_gradient(rng)
    layer.weight.grad = np.ones_like(dw)
    pull()
    np.testing.assert_array_equal(layer.weight.kept_grad(), dw + 1)
    layer, pull, dw = linear_and_gradient(rng)
    layer.weight.accumulate(np.ones_like(dw))
    duplicate = copy.deepcopy(layer.weight)
    pull()
    np.testing.assert_array_equal(layer.weight.kept_grad(), dw + 1)
    assert duplicate.blank_grad() is None


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (2, 1), (4, 2, 3)])
def test_gradients_of_another_shape_are_not_accumulated(shape):
    """Not even those that NumPy would broadcast: a sum over too many axes is a mistake."""
    p = cl.Parameter(np.ones((2, 3), np.float32), name="scale")
    message = re.escape(f"'scale'): expected a gradient of shape (2, 3), got {shape}")
    with pytest.raises(ValueError, match=message):
        p.accumulate(np.ones(shape, np.float32))
    np.testing.assert_array_equal(p.grad, np.zeros((2, 3)))


def test_the_gradient_of_a_frozen_parameter_is_not_written(rng):
    """Even where the layer was frozen between the two halves of a step."""
    layer = cl.Linear(5, 4, rng=0)
    x, dy = (rng.standard_normal((3, n)).astype(np.float32) for n in (5, 4))
    pullback = cl.Sequential(layer).vjp(x)[1]
    layer.freeze()
    pullback(dy)
    assert not layer.weight.kept_grad().any()
