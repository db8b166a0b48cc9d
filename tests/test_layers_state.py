"""Layers: their state, copies and casts, and how parameters are drawn."""

import copy
import pickle

import numpy as np
import pytest

import convlet as cl
from networks import digits_like, images

# ---------------------------------------------------------------- state


def test_state_dict_names():
    """Keys are the places of layers and the names of what they hold, in layer order."""
    state = digits_like().state_dict()

    assert [
        "0.weight",
        "1.gamma",
        "1.beta",
        "1.running_mean",
        "1.running_var",
        "1.count",
        "2.body.0.weight",
        "2.body.0.bias",
        "2.shortcut.0.weight",
        "2.shortcut.0.bias",
        "4.weight",
        "4.bias",
    ] == list(state)
    assert (np.int64, ()) == (state["1.count"].dtype, state["1.count"].shape)
    assert ["weight", "bias"] == list(cl.Linear(2, 3).state_dict())


def test_state_dict_round_trip(tmp_path):
    """A model takes over everything through a file, and its parameters stay where they are."""
    source, target = digits_like(rng=0), digits_like(rng=1)
    x = images(4, 4, 4, 1, dtype=np.float32)
    source.vjp(x)
    places = [p.value for p in target.parameters()]
    np.savez(tmp_path / "state.npz", **source.state_dict())
    with np.load(tmp_path / "state.npz") as saved:
        target.load_state_dict(saved)

    np.testing.assert_array_equal(source(x), target(x))
    assert 1 == target[1].count
    assert all(p.value is place for p, place in zip(target.parameters(), places, strict=True))


def test_state_dict_is_a_copy():
    """Writing into a state changes nothing, and later training does not change the state."""
    model = digits_like()
    state = model.state_dict()
    kept = {key: value.copy() for key, value in state.items()}
    model.vjp(images(4, 4, 4, 1, dtype=np.float32))
    model.parameters()[0].value[...] = 5
    for key, value in kept.items():
        np.testing.assert_array_equal(value, state[key])
    state["4.weight"][...] = 7

    assert not (model[4].weight.value == 7).any()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("used", [False, True])
def test_copies_are_equal_and_independent(duplicate, used):
    """A deep copy or a pickle computes the same, drawn or not, and then goes its own way."""
    model = digits_like(rng=None)
    x = images(4, 4, 4, 1, dtype=np.float32)
    if used:
        model.vjp(x)[1](np.ones((4, 2), np.float32))
        model[0].freeze()
    twin = duplicate(model)

    np.testing.assert_array_equal(model(x), twin(x))
    assert repr(model) == repr(twin)
    assert [p.trainable for p in model.parameters()] == [p.trainable for p in twin.parameters()]
    twin.vjp(x)
    twin.parameters()[0].value[...] = 0
    assert model[1].count == used
    assert model.parameters()[0].value.any()


def test_astype_makes_another_model():
    """Everything a model holds changes its type in the new one, and nothing in the old."""
    model = digits_like()
    model.vjp(images(4, 4, 4, 1, dtype=np.float32))
    wide = model.astype("float64")

    for key, value in wide.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[key], value)
        assert (np.int64 if key.endswith("count") else np.float64) == value.dtype
    assert (np.float32, np.float64) == (model.dtype, wide.dtype)
    assert np.float64 == wide(images(1, 4, 4, 1)).dtype
    with pytest.raises(TypeError, match="float32 or float64, got float16"):
        model.astype(np.float16)
    with pytest.raises(TypeError, match="float32 or float64, got 'floaty'"):
        model.astype("floaty")


def test_freeze_and_unfreeze():
    """Freezing reaches every parameter of a layer and what is inside it, and no other."""
    model = digits_like()
    model[2].freeze()
    expected = [True] * 3 + [False] * 4 + [True] * 2
    assert expected == [p.trainable for p in model.parameters()]
    model.unfreeze()

    assert all(p.trainable for p in model.parameters())


def test_trainable_is_freeze_and_unfreeze():
    """Assigning False or True freezes or unfreezes all inside, and reading says what trains."""
    model = digits_like()
    norm = cl.BatchNorm(2, affine=False)
    for layer in (model, norm):
        assert layer.trainable
        layer.trainable = False
        assert not layer.trainable
    assert norm.frozen
    assert not any(p.trainable for p in model.parameters())
    before = model.state_dict()
    model.vjp(images(4, 4, 4, 1, dtype=np.float32))

    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(before[key], value)
    model[-1].trainable = norm.trainable = np.True_
    assert [True, True, True, False] == [
        layer.trainable for layer in (model, model[-1], norm, cl.ReLU())
    ]
    with pytest.raises(TypeError, match="expected trainable to be True or False, got 'no'"):
        model.trainable = "no"


def test_named_parameters():
    """They are the parameters in their order, under their names in the state."""
    model = digits_like()
    shared = cl.Linear(4, 4)
    pairs = model.named_parameters()

    assert [p for _, p in pairs] == model.parameters()
    state = model.state_dict()
    for name, p in pairs:
        np.testing.assert_array_equal(state[name], p.value)
    names = [name for name, _ in cl.Sequential(shared, cl.ReLU(), shared).named_parameters()]
    assert ["0.weight", "0.bias"] == names


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"1.gamma": np.ma.masked_array(np.ones(4, np.float32), [1, 0, 0, 0])},
            TypeError,
            r"Sequential: 1.gamma is a masked array.*filled\(0\)",
        ),
        ({"1.gamma": [[1.0], [1.0, 2.0]]}, TypeError, "Sequential: 1.gamma is no array: .*inhomog"),
        ({"1.gamma": [1.0] * 4}, ValueError, "1.gamma: expected float32, got float64"),
        ({"1.count": [2]}, ValueError, r"1.count: expected shape \(\), got \(1,\)"),
        ({"1.count": []}, ValueError, r"1.count: expected shape \(\), got \(0,\)"),
        ({"1.count": None}, ValueError, "1.count: expected int64, got object"),
        ({"1.running_var": [1, -2, 1, 1]}, ValueError, "1.running_var: .* of at least 0, got -2.0"),
        ({"1.running_var": [1, 1, np.nan, 1]}, ValueError, "1.running_var: .* got nan"),
        ({"1.running_mean": [1, 1, np.inf, 1]}, ValueError, "1.running_mean: .* numbers, got inf"),
        (None, TypeError, "Sequential: expected a state as state_dict.* got NoneType"),
        ("model.npz", TypeError, "numpy.load of its file, got str"),
    ],
)
def test_states_that_make_no_sense_are_refused(change, error, message):
    """A state that is none, or holds what no model has, is an error by name; nothing is loaded."""
    model = digits_like()
    before = model.state_dict()
    state = change
    if isinstance(change, dict):
        ((name, value),) = change.items()
        floats = name.startswith("1.running")
        state = before | {name: np.array(value, np.float32) if floats else value}
    with pytest.raises(error, match=message):
        model.load_state_dict(state)

    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(before[key], value)


# ---------------------------------------------------------------- drawing


def weights(model):
    return [p.value.copy() for p in model.parameters() if p.kind == "weight"]


def assert_same(left, right, same=True):
    assert [same] * len(left) == [np.array_equal(a, b) for a, b in zip(left, right, strict=True)]


def two_layers(first=None, second=None, **options):
    return cl.Sequential(cl.Linear(3, 4, rng=first), cl.Linear(4, 3, rng=second), **options)


def test_a_seed_draws_the_same_weights():
    """The same seed, as a number or a generator, gives the same model; another seed another."""
    model = weights(two_layers(rng=0))

    assert_same(model, weights(two_layers(rng=0)))
    assert_same(model, weights(two_layers(rng=np.random.default_rng(0))))
    assert_same(model, weights(two_layers(rng=1)), same=False)


def test_without_a_seed_every_model_is_another():
    """Fresh entropy is the default."""
    assert_same(weights(two_layers()), weights(two_layers()), same=False)


def test_own_generator_goes_before_the_model():
    """A layer with a generator of its own ignores the model's, and the others do not notice."""
    plain, own = weights(two_layers(rng=0)), weights(two_layers(first=7, rng=0))

    assert_same(plain[1:], own[1:])
    assert_same(own[:1], weights(cl.Linear(3, 4, rng=7)))


def test_inner_models_get_their_place_in_layer_order():
    """Nesting changes nothing, and an inner model with a generator of its own keeps to it."""
    flat = weights(two_layers(rng=0))
    nested = cl.Sequential(cl.Sequential(cl.Linear(3, 4)), cl.Linear(4, 3), rng=0)
    inner = two_layers(rng=5)
    outer = cl.Sequential(inner, cl.Linear(3, 2), rng=0)

    assert_same(flat, weights(nested))
    assert_same(weights(two_layers(rng=5)), weights(outer)[:2])


def test_a_model_never_redraws():
    """What was drawn before it became part of a model stays."""
    first = cl.Linear(3, 4)
    before = first.weight.value.copy()
    model = cl.Sequential(first, cl.Linear(4, 3), rng=0)

    np.testing.assert_array_equal(before, weights(model)[0])
    assert_same(weights(two_layers(rng=0))[1:], weights(model)[1:])


def test_order_of_first_use_does_not_matter():
    """A layer that is looked at before its model is used has the weights it would get anyway."""
    model = two_layers(rng=0)
    second = model[1].weight.value.copy()

    np.testing.assert_array_equal(weights(two_layers(rng=0))[1], second)


def test_weights_are_he_normal_and_the_rest_is_constant():
    """Weights have mean 0 and variance 2 / fan-in; biases, gammas and betas are 0, 1 and 0."""
    model = cl.Sequential(
        cl.Conv2d(32, 64, 3, groups=2), cl.BatchNorm(64), cl.Linear(64, 500), rng=0
    )
    conv, norm, linear = model
    for weight, fan_in in ((conv.weight.value, 9 * 16), (linear.weight.value, 64)):
        n = weight.size
        # four standard errors of the mean, and of a variance of normal numbers
        assert abs(weight.mean()) < 4 * np.sqrt(2 / fan_in / n)
        assert abs(weight.var() * fan_in / 2 - 1) < 4 * np.sqrt(2 / n)
    for p, number in ((conv.bias, 0), (norm.gamma, 1), (norm.beta, 0), (linear.bias, 0)):
        np.testing.assert_array_equal(np.full(p.shape, number), p.value)
    assert ["weight", "bias", "norm", "norm", "weight", "bias"] == [
        p.kind for p in model.parameters()
    ]
