"""Dropout: the generator, the mask as a function of its place, and the layer's counter."""

import copy
import pickle

import numpy as np
import pytest

import convlet as cl
from convlet import ops, reference
from convlet.gradcheck import gradcheck
from convlet.reference.dropout import dropout_mask, philox4x32

DTYPES = (np.float32, np.float64)
SHAPES = ((1,), (0, 3), (7, 5), (2, 3, 5, 7), (3, 65), (2, 31, 29, 33))


def draw(shape, dtype=np.float64):
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


# ---------------------------------------------------------------- the generator


def test_philox_has_its_published_numbers():
    """The known answers of Random123's kat_vectors for philox4x32 with 10 rounds."""
    ones = 0xFFFFFFFF
    counters = [
        [0, 0, 0, 0],
        [ones, ones, ones, ones],
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
    ]
    keys = [[0, 0], [ones, ones], [0xA4093822, 0x299F31D0]]
    words = [
        [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ]

    for counter, key, word in zip(counters, keys, words, strict=True):
        assert word == philox4x32([counter], key)[0].tolist()


# ---------------------------------------------------------------- the operator


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_operator_is_the_reference(shape, per_channel, dtype):
    """Mask and scale are the reference's, to the bit, in both directions."""
    x = draw(shape, dtype)
    for p in (0, 0.1, 0.5, 1):
        for seed, counter in ((0, 0), (2**64 - 1, 1), (12345678901234567890, 2**40 + 3)):
            options = {"seed": seed, "counter": counter, "per_channel": per_channel}

            expected = reference.dropout(x, p, **options)
            y = ops.dropout(x, p, **options)
            assert dtype == y.dtype
            np.testing.assert_array_equal(expected, y)
            np.testing.assert_array_equal(y, ops.dropout_backward(x, p, **options))


@pytest.mark.parametrize("per_channel", [False, True])
def test_gradient(per_channel):
    """With its mask held, dropout is linear and its gradient is that of finite differences."""
    options = {"seed": 3, "counter": 5, "per_channel": per_channel}
    for module in (ops, reference):
        gradcheck(
            lambda x, m=module: m.dropout(x, 0.4, **options),
            draw((3, 2, 5, 4)),
            lambda dy, x, m=module: m.dropout_backward(dy, 0.4, **options),
        )


def test_channels_go_together():
    """Per channel, all positions of a channel of a sample share their fate, and about half go."""
    y = ops.dropout(np.ones((64, 5, 3, 32), np.float32), 0.5, seed=1, per_channel=True)
    kept = y[:, 0, 0] != 0

    np.testing.assert_array_equal(y, np.where(kept, 2, 0)[:, None, None] * np.ones_like(y))
    assert 0.44 < kept.mean() < 0.56  # 2048 draws, five standard deviations of 0.011


def test_masks_differ_by_seed_and_counter():
    """Rates are p, the mean stays, and another seed or counter is an independent mask."""
    x = np.ones(2**18)
    masks = [ops.dropout(x, 0.3, seed=s, counter=c) != 0 for s, c in ((0, 0), (1, 0), (0, 1))]

    for mask in masks:
        assert mask.mean() == pytest.approx(0.7, abs=0.005)  # five standard deviations
    for a, b in ((0, 1), (0, 2), (1, 2)):
        agree = (masks[a] == masks[b]).mean()
        assert agree == pytest.approx(0.58, abs=0.005)
    assert ops.dropout(x, 0.3, seed=0).mean() == pytest.approx(1, abs=0.007)


def test_bits_do_not_depend_on_threads():
    """The mask belongs to the element, whoever computes it."""
    x = draw((5, 31, 29, 33), np.float32)
    results = []
    for threads in (1, 2, 3, 7):
        with cl.num_threads(threads):
            results.append(
                [ops.dropout(x, 0.5, seed=9, per_channel=c).tobytes() for c in (False, True)]
            )

    assert all(results[0] == other for other in results[1:])


def test_ends_of_the_range():
    """p = 0 keeps everything as it is, p = 1 makes zeros of everything, NaN included."""
    x = np.array([[np.nan, np.inf, 1e-45, -0.0, 2]], np.float32)

    for per_channel in (False, True):
        kept = ops.dropout(x, 0, seed=1, per_channel=per_channel)
        gone = ops.dropout(x, 1, seed=1, per_channel=per_channel)
        assert kept.tobytes() == x.tobytes()
        assert gone.tobytes() == np.zeros_like(x).tobytes()


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, "p must be a probability from 0 to 1, got 1.1", {"p": 1.1}),
        (ValueError, "p must be a probability from 0 to 1, got -0.1", {"p": -0.1}),
        (ValueError, "p must be a probability from 0 to 1, got nan", {"p": np.nan}),
        (TypeError, "p must be a number, got True", {"p": True}),
        (TypeError, "p must be a number, got '0.5'", {"p": "0.5"}),
        (TypeError, "seed must be an integer, got 1.0", {"seed": 1.0}),
        (TypeError, "seed must be an integer, got None", {"seed": None}),
        (ValueError, r"seed must be from 0 to 2\*\*64 - 1, got -1", {"seed": -1}),
        (ValueError, r"counter must be from 0 to 2\*\*64 - 1, got 184", {"counter": 2**64}),
        (ValueError, "x must have at least one axis", {"x": np.float32(1)}),
        (TypeError, "x has dtype int64", {"x": np.ones(3, np.int64)}),
    ],
)
def test_refusals(error, message, arguments):
    """What cannot be is an error that names the value."""
    arguments = {"x": np.ones((2, 3)), "p": 0.5, "seed": 0} | arguments
    with pytest.raises(error, match=message):
        ops.dropout(**arguments)


def test_reference_refuses():
    """The reference refuses a p that is no probability."""
    with pytest.raises(ValueError, match="p must be from 0 to 1, got 2"):
        reference.dropout(np.ones(2), 2, seed=0)


# ---------------------------------------------------------------- the layer


def test_inference_is_the_identity():
    """The inference door drops nothing and counts nothing."""
    layer, x = cl.Dropout(0.9, rng=0), draw((2, 3))

    np.testing.assert_array_equal(layer(x), x)
    assert 0 == layer.counter


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_training_counts(dtype, per_channel):
    """Each vjp takes the mask of seed and counter, its pullback the same, the next another."""
    layer, x = cl.Dropout(0.5, per_channel=per_channel, rng=0), draw((4, 3, 3, 16), dtype)
    passes = [layer.vjp(x) for _ in range(3)]

    for counter, (y, pullback) in enumerate(passes):
        options = {"seed": layer.seed, "counter": counter, "per_channel": per_channel}
        np.testing.assert_array_equal(y, reference.dropout(x, 0.5, **options))
        np.testing.assert_array_equal(pullback(x), y)
    assert 3 == layer.counter
    assert layer.vjp(x, input_grad=False)[1](x) is None


class Restarted(cl.Layer):
    """A model whose dropout begins at the same mask in every pass, as finite differences need."""

    def __init__(self, dropout, model):
        self.dropout, self.model = dropout, model

    def _children(self):
        return [("model", self.model)]

    def _output_shape(self, shape):
        return self.model.output_shape(shape)

    def _vjp(self, x, input_grad, commits):
        self.dropout.counter = 0
        return self.model.vjp(x, input_grad=input_grad)


@pytest.mark.parametrize("per_channel", [False, True])
def test_gradients_above_a_trainable_layer(per_channel):
    """With its mask held, gradients through dropout are those of finite differences."""
    dropout = cl.Dropout(0.4, per_channel=per_channel, rng=1)
    model = cl.Sequential(cl.Conv2d(2, 5, 1, rng=0), dropout, cl.Conv2d(5, 3, 1, rng=2))

    assert gradcheck(Restarted(dropout, model).astype("float64"), draw((2, 3, 4, 2))) <= 1e-7


def test_a_layer_that_comes_twice_draws_twice():
    """In one pass each use has a mask of its own, and all are counted."""
    shared, x = cl.Dropout(0.5, rng=0), np.ones((1, 64), np.float32)
    y, pullback = cl.Sequential(shared, shared).vjp(x)
    masks = [dropout_mask(x.shape, 0.5, seed=shared.seed, counter=c) for c in (0, 1)]

    np.testing.assert_array_equal(y, np.where(masks[0] & masks[1], 4, 0))
    np.testing.assert_array_equal(pullback(x), y)
    assert 2 == shared.counter


def test_a_failed_forward_counts_nothing():
    """Where the pass fails after the dropout, the counter stays."""
    model = cl.Sequential(cl.Dropout(0.5, rng=0), cl.BatchNorm(2))
    with pytest.raises(FloatingPointError):
        model.vjp(np.full((4, 2), np.inf, np.float32))

    assert 0 == model[0].counter


def test_state_continues_a_run():
    """Seed and counter are in the state: a model that loads it drops what the first would."""
    x = draw((3, 32), np.float32)
    first, second = (cl.Sequential(cl.Dropout(0.5), cl.Linear(32, 4), rng=r) for r in (0, 1))
    first.vjp(x)
    state = first.state_dict()
    second.load_state_dict(state)

    assert ["0.seed", "0.counter", "1.weight", "1.bias"] == list(state)
    assert 1 == state["0.counter"]
    np.testing.assert_array_equal(first.vjp(x)[0], second.vjp(x)[0])
    with pytest.raises(ValueError, match=r"0.counter: expected int64, got float64"):
        second.load_state_dict(state | {"0.counter": np.array(1.0)})
    with pytest.raises(ValueError, match=r"0.counter: expected at least 0, got -1"):
        second.load_state_dict(state | {"0.counter": np.array(-1)})
    with pytest.raises(ValueError, match=r"0.seed: expected at least 0, got -7"):
        second.load_state_dict(state | {"0.seed": np.array(-7)})
    assert (first[0].seed, first[0].counter) == (second[0].seed, second[0].counter)


def test_seeds_come_from_the_model():
    """The model's rng decides the masks, each layer's own; without one they differ every time."""

    def masks(**options):
        model = cl.Sequential(cl.Dropout(0.5), cl.Linear(64, 64), cl.Dropout(0.5), **options)
        return model[0].seed, model[2].seed

    assert masks(rng=5) == masks(rng=5)
    assert 4 == len({*masks(rng=5), *masks(rng=6)})
    assert masks() != masks()
    assert cl.Dropout(0.5, rng=7).seed == cl.Dropout(0.1, rng=7).seed


def test_copies_keep_seed_and_counter():
    """deepcopy, pickle and astype give layers that drop the same."""
    layer, x = cl.Dropout(0.5, per_channel=True), draw((3, 2, 32))
    layer.vjp(x)
    others = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), layer.astype("float32")]
    y, _ = layer.vjp(x)

    for other in others:
        np.testing.assert_array_equal(other.vjp(x)[0], y)
    assert "Dropout(0.5, per_channel=True)" == repr(layer)


def test_layer_refuses():
    """p has to be a probability, and channels an axis of their own."""
    with pytest.raises(ValueError, match="Dropout: p must be a probability"):
        cl.Dropout(1.5)
    with pytest.raises(ValueError, match=r"expected x of shape \(N, ..., C\)"):
        cl.Dropout(0.5, per_channel=True)(np.ones(3, np.float32))
