"""Losses: their options against convlet.reference, and that against finite differences."""

import itertools

import numpy as np
import pytest

import convlet as cl
from cases import CLASS_CASES, ClassCase
from convlet import losses, ops
from convlet import reference as ref
from convlet.gradcheck import gradcheck

DTYPES = (np.float32, np.float64)

# The sums of a row round about 20 times (64 lanes, a tree, exp, log1p), relative to terms of the
# same sign; losses over elements round less.
ROUNDING = {np.float32: 2e-6, np.float64: 4e-15}

OPTIONS = [
    dict(zip(("class", "sample", "ignore", "smooth", "soft"), on, strict=True))
    for on in itertools.product((False, True), repeat=5)
    if not (on[2] and on[4])
]


def name_of(options):
    return "-".join(key for key, on in options.items() if on) or "plain"


def problem(case, on, dtype=np.float64, finite=False):
    """Logits, target and options; ignored rows hold NaN and infinity unless `finite`."""
    rng = np.random.default_rng([7, *case.shape])
    classes, rows = case.shape[case.axis], case.rows_shape
    z = (case.offset + case.scale * rng.standard_normal(case.shape)).astype(dtype)
    options = {"axis": case.axis}
    target = rng.integers(0, classes, rows)
    if on["class"]:
        options["class_weight"] = rng.uniform(0.2, 2, classes).astype(dtype)
    if on["sample"]:
        options["sample_weight"] = rng.uniform(0.2, 2, rows).astype(dtype)
    if on["smooth"]:
        options["label_smoothing"] = 0.1
    if on["ignore"]:
        options["ignore_index"] = -100
        out = rng.random(rows) < 0.3
        target[out] = -100
        if not finite:
            np.moveaxis(z, case.axis, -1)[out] = np.resize([np.nan, np.inf, -np.inf], classes)
            if on["sample"]:
                options["sample_weight"][out] = np.nan
    if on["soft"]:
        target = rng.uniform(0, 1, case.shape).astype(dtype)
    for a in (z, target):
        a.flags.writeable = False
    return z, target, options


def widened(options):
    """The options with float64 weights, and without NaN where rows are ignored."""
    return {
        key: np.nan_to_num(value.astype(np.float64)) if isinstance(value, np.ndarray) else value
        for key, value in options.items()
    }


# --- cross-entropy --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logit", "label", "weight", "expected"),
    [(3e38, 1, 1, np.inf), (47.5, 0, 0.3, 1.65e-42), (0, 0, 1e-41, 6.93e-42)],
)
def test_losses_that_float32_does_not_hold(logit, label, weight, expected):
    """Losses of rows round to infinity or to few digits, whatever NumPy makes of such numbers."""
    logits = np.array([[logit, -logit]], np.float32)
    with np.errstate(all="raise"):
        row, _ = ops.softmax_cross_entropy(
            logits, np.array([label]), sample_weight=np.array([weight], float), reduction="none"
        )

    assert row.item() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("on", OPTIONS, ids=name_of)
@pytest.mark.parametrize("case", CLASS_CASES, ids=[case.name for case in CLASS_CASES])
def test_cross_entropy_options(case, on, dtype):
    """Every combination of the options agrees with the reference, for every reduction."""
    z, target, options = problem(case, on, dtype)
    wide = target.astype(np.float64) if on["soft"] else target
    scale = 1 + np.abs(case.scale) * 3
    for reduction in ("mean", "sum", "none"):
        loss, dz = ops.softmax_cross_entropy(z, target, **options, reduction=reduction)
        expected, slopes = ref.softmax_cross_entropy(
            z.astype(np.float64), wide, **widened(options), reduction=reduction
        )

        size = scale * case.shape[case.axis] ** on["soft"] * 4
        assert dz.dtype == dtype
        assert np.allclose(dz, slopes, rtol=ROUNDING[dtype], atol=ROUNDING[dtype] * size)
        if reduction == "none":
            assert loss.dtype == dtype
        else:
            assert type(loss) is float
        assert np.allclose(loss, expected, rtol=2 * ROUNDING[dtype], atol=ROUNDING[dtype])


@pytest.mark.parametrize("on", OPTIONS, ids=name_of)
@pytest.mark.parametrize("case", [c for c in CLASS_CASES if c.scale < 50 and c.shape[-1] < 100])
def test_cross_entropy_gradients(case, on):
    """The reference's gradient agrees with finite differences, for random upstream gradients."""
    z, target, options = problem(case, on, finite=True)

    def call(z, **more):
        return ref.softmax_cross_entropy(z, target, **options, **more)

    def backward(dy, z):
        return np.expand_dims(dy, case.axis) * call(z, reduction="none")[1]

    gradcheck(lambda z: call(z, reduction="none")[0], z, backward, samples=20)
    for reduction in ("mean", "sum"):
        gradcheck(
            lambda z, r=reduction: np.float64(call(z, reduction=r)[0]),
            z,
            lambda dy, z, r=reduction: dy * call(z, reduction=r)[1],
            samples=20,
        )


def test_ignored_rows_do_not_leak():
    """NaN and infinity in ignored rows change nothing, and their gradient is exactly 0."""
    z = np.array([[1, 2, 3], [np.nan, np.inf, 0], [3, -np.inf, 1]], np.float32)
    options = {"ignore_index": 255, "label_smoothing": 0.1, "class_weight": np.ones(3)}
    weights = np.array([1.0, np.nan, 2.0])

    loss, dz = ops.softmax_cross_entropy(
        z[:2], np.array([2, 255]), **options, sample_weight=weights[:2]
    )
    alone, dz_alone = ops.softmax_cross_entropy(z[:1], np.array([2]), **options)

    assert alone == loss
    assert np.array_equal(dz[:1], dz_alone)
    assert not dz[1].any()


def test_rows_of_weight_zero_are_skipped():
    """A sample weight of 0 leaves a row out like ignore_index, for soft targets too."""
    z, q = np.array([[1.0, 2.0], [np.nan, 0.0]]), np.array([[0.25, 0.75], [0.5, 0.5]])

    loss, dz = ops.softmax_cross_entropy(z, q, sample_weight=np.array([2.0, 0.0]))
    alone, dz_alone = ops.softmax_cross_entropy(z[:1], q[:1])

    assert alone == pytest.approx(loss, rel=1e-15)
    assert np.allclose(dz[0], dz_alone[0], rtol=1e-15)
    assert not dz[1].any()


@pytest.mark.parametrize("function", [ops.softmax_cross_entropy, losses.nll])
@pytest.mark.parametrize(
    ("target", "options"),
    [
        (np.array([9, 9]), {"ignore_index": 9}),
        (np.array([0, 1]), {"sample_weight": np.zeros(2)}),
        (np.array([1, 1]), {"class_weight": np.array([1.0, 0.0])}),
    ],
    ids=["ignored", "samples of weight 0", "classes of weight 0"],
)
def test_a_mean_over_nothing(function, target, options):
    """Its value is what `empty` says, its gradient 0; sum and none have no divisor."""
    z = np.array([[0.5, 1.0], [2.0, 3.0]])
    for empty, expected in (("zero", 0.0), ("nan", np.nan)):
        loss, dz = function(z, target, **options, empty=empty)

        assert np.array_equal(loss, expected, equal_nan=True)
        assert not dz.any()
    with pytest.raises(ValueError, match=r"mean over 2 rows .* use empty='zero'"):
        function(z, target, **options, empty="raise")
    loss, dz = function(z, target, **options, empty="raise", reduction="sum")
    assert loss == 0
    assert not dz.any()


def test_a_mean_over_no_rows():
    """An empty batch has nothing to divide by either."""
    z, none = np.zeros((0, 3)), np.zeros(0, int)

    assert ops.softmax_cross_entropy(z, none)[0] == 0
    with pytest.raises(ValueError, match="mean over 0 rows"):
        ops.softmax_cross_entropy(z, none, empty="raise")


@pytest.mark.parametrize("dtype", DTYPES)
def test_weighted_confident_rows_keep_their_accuracy(dtype):
    """Weights scale a loss near 0 without costing it relative accuracy."""
    z = np.array([[23.0, 0.0], [0.0, 1.0]], dtype)

    loss, dz = ops.softmax_cross_entropy(
        z,
        np.array([0, 7]),
        class_weight=np.array([2.0, 1.0]),
        sample_weight=np.array([3.0, 1.0]),
        ignore_index=7,
        reduction="sum",
    )

    rel = 1e-6 if dtype == np.float32 else 1e-15
    assert loss == pytest.approx(6 * np.log1p(np.exp(-23.0)), rel=rel, abs=0)
    assert dz[0].tolist() == pytest.approx([-loss, loss], rel=1e-6, abs=0)


def test_an_impossible_class_of_weight_zero_adds_nothing():
    """Where u = 0 the logit may be -inf."""
    z = np.array([[0.0, 0.0, -np.inf]])

    loss, _ = ops.softmax_cross_entropy(
        z, np.array([0]), class_weight=np.array([1.0, 1.0, 0.0]), label_smoothing=0.5
    )

    # The divisor is w of the label, 1; u = 1/2 + 1/6 and 1/6.
    assert loss == pytest.approx((1 / 2 + 1 / 3) * np.log(2), rel=1e-15)


@pytest.mark.parametrize(
    ("dtype", "label", "ignore_index", "counts"),
    [
        ("u1", 255, 255, 0),
        ("u1", 1, -1, 1),
        ("u8", 2**64 - 1, 2**64 - 1, 0),
        ("i8", -100, -100, 0),
        ("i2", 1, 10**30, 1),
        ("i4", 1, 1, 0),
    ],
)
def test_ignore_index_of_any_integer_dtype(dtype, label, ignore_index, counts):
    """A label is ignored where it equals ignore_index as a number, in range or not."""
    target = np.array([label], dtype)

    loss, _ = ops.softmax_cross_entropy(
        np.zeros((1, 3)), target, ignore_index=ignore_index, reduction="sum"
    )

    assert loss == pytest.approx(counts * np.log(3), rel=1e-15)


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (
            ValueError,
            r"class_weight must have shape \(3,\) \(one a class\)",
            {"class_weight": [1, 1]},
        ),
        (ValueError, r"class_weight has -1.0 at index 1", {"class_weight": [1, -1, 1]}),
        (ValueError, r"class_weight has inf at index 2", {"class_weight": [1, 1, 1e300]}),
        (ValueError, r"sample_weight must have shape \(2,\)", {"sample_weight": [1, 1, 1]}),
        (ValueError, r"sample_weight has nan at index 0", {"sample_weight": [np.nan, 1]}),
        (TypeError, "sample_weight has dtype complex128", {"sample_weight": [1j, 1]}),
        (ValueError, "label_smoothing must be from 0 to 1, got 1.5", {"label_smoothing": 1.5}),
        (ValueError, "label_smoothing must be finite", {"label_smoothing": -0.1}),
        (TypeError, "label_smoothing must be a number", {"label_smoothing": "0.1"}),
        (TypeError, "ignore_index must be an integer or None", {"ignore_index": 1.0}),
        (TypeError, "ignore_index must be an integer or None", {"ignore_index": True}),
        (ValueError, r"empty must be one of \('zero', 'nan', 'raise'\)", {"empty": "none"}),
        (ValueError, r"reduction must be one of", {"reduction": "batchmean"}),
    ],
)
def test_cross_entropy_refuses(error, message, options):
    """A bad option is an error that names it and what would do."""
    options = {k: np.asarray(v) if isinstance(v, list) else v for k, v in options.items()}
    with pytest.raises(error, match=message):
        ops.softmax_cross_entropy(np.zeros((2, 3), np.float32), np.array([0, 2]), **options)


def test_weights_that_add_up_to_infinity():
    """Their mean has no value; the message says so."""
    with pytest.raises(ValueError, match="weights of the rows add up to infinity"):
        ops.softmax_cross_entropy(
            np.zeros((2, 3)), np.array([0, 2]), sample_weight=np.full(2, 1e308)
        )


@pytest.mark.parametrize("function", [ops.softmax_cross_entropy, losses.nll])
def test_labels_out_of_range(function):
    """The first label that is neither a class nor ignored is named, with a cure where one shows."""
    z = np.zeros((2, 2, 3))

    with pytest.raises(ValueError, match=r"has 3 at index \(1, 0\), expected labels from 0 to 2$"):
        function(z, np.array([[0, -1], [3, 1]]), ignore_index=-1)
    with pytest.raises(ValueError, match=r"-100 at index \(0, 1\).*; .* use ignore_index=-100"):
        function(z, np.array([[0, -100], [2, 1]]))
    with pytest.raises(TypeError, match="expected integer labels"):
        function(z, np.array([[True, False], [True, True]]))
    with pytest.raises(ValueError, match=r"target must have shape \(2, 2\)"):
        function(z, np.array([0, 1]))


def test_ignore_index_with_soft_targets():
    """It has no meaning there; the message says what has."""
    with pytest.raises(ValueError, match=r"ignore_index=0 .* sample_weight of 0"):
        ops.softmax_cross_entropy(np.zeros((1, 2)), np.ones((1, 2)), ignore_index=0)


# --- negative log-likelihood ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("on", [o for o in OPTIONS if not (o["soft"] or o["smooth"])], ids=name_of)
@pytest.mark.parametrize("case", CLASS_CASES, ids=[case.name for case in CLASS_CASES])
def test_nll(case, on, dtype):
    """It agrees with the reference, and after a log-softmax with cross-entropy."""
    x, target, options = problem(case, on, dtype)
    for reduction in ("mean", "sum", "none"):
        loss, dx = losses.nll(x, target, **options, reduction=reduction)
        expected, slopes = ref.nll(
            x.astype(np.float64), target, **widened(options), reduction=reduction
        )

        size = np.nanmax(np.abs(np.where(np.isfinite(x), x, 0)), initial=0) * max(x.size, 1)
        assert np.allclose(dx, slopes, rtol=ROUNDING[dtype], atol=0)
        assert np.allclose(loss, expected, rtol=ROUNDING[dtype], atol=1e-15 * size)
    if dtype == np.float64 and not on["ignore"]:
        entropy, _ = ops.softmax_cross_entropy(x, target, **options)
        loss, _ = losses.nll(ops.log_softmax(x, axis=case.axis), target, **options)
        assert loss == pytest.approx(entropy, rel=1e-13)


@pytest.mark.parametrize("on", [o for o in OPTIONS if not (o["soft"] or o["smooth"])], ids=name_of)
def test_nll_gradients(on):
    """The reference's gradient agrees with finite differences, for random upstream gradients."""
    case = next(case for case in CLASS_CASES if case.name == "middle-axis")
    x, target, options = problem(case, on, finite=True)
    options["reduction"] = "none"

    gradcheck(
        lambda x: ref.nll(x, target, **options)[0],
        x,
        lambda dy, x: np.expand_dims(dy, case.axis) * ref.nll(x, target, **options)[1],
    )


# --- losses over elements -------------------------------------------------------------------

SHAPES = [(), (0,), (1,), (0, 3), (17,), (5, 13), (2, 3, 4, 5), (5000,)]


def elements(name, shape, dtype, rng):
    """A function of the prediction and a module, for the prediction x."""
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    y, answers = rng.standard_normal(shape).astype(dtype), rng.random(shape) < 0.4
    soft = rng.random(shape).astype(dtype)
    weights = {
        "pos_weight": rng.uniform(0, 3, shape[-1:]).astype(dtype),
        "sample_weight": rng.uniform(0, 2, shape).astype(dtype),
    }
    if not shape:
        y, answers, soft = (
            np.asarray(v, k) for v, k in ((y, dtype), (answers, bool), (soft, dtype))
        )
        x = np.asarray(x, dtype)
        weights = {"pos_weight": 2.5, "sample_weight": 0.5}
    binary = "binary_cross_entropy_with_logits"
    target, options, function = {
        "mse": (y, {}, "mse"),
        "l1": (y, {}, "l1"),
        "huber": (y, {"delta": 0.7}, "huber"),
        "smooth_l1": (y, {"beta": 0.7}, "smooth_l1"),
        "smooth_l1 of 0": (y, {"beta": 0}, "smooth_l1"),
        "binary": (answers, {}, binary),
        "binary, soft and weighted": (soft, weights, binary),
        "focal": (answers, {}, "focal"),
        "focal without alpha": (answers, {"alpha": None, "gamma": 0.5}, "focal"),
        "focal, soft": (soft, {"alpha": 0.9, "gamma": 1.5}, "focal"),
        "focal of 0": (answers, {"gamma": 0}, "focal"),
    }[name]

    def call(module, x, **more):
        y = target.astype(x.dtype) if target.dtype.kind == "f" else target
        return getattr(module, function)(x, y, **options, **more)

    return x, call


NAMES = (
    *("mse", "l1", "huber", "smooth_l1", "smooth_l1 of 0", "binary", "binary, soft and weighted"),
    *("focal", "focal without alpha", "focal, soft", "focal of 0"),
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_element_losses(name, shape, dtype):
    """Value and gradient agree with the reference, for every reduction."""
    x, call = elements(name, shape, dtype, np.random.default_rng(3))
    for reduction in ("mean", "sum", "none"):
        loss, dx = call(losses, x, reduction=reduction)
        expected, slopes = call(ref, x.astype(np.float64), reduction=reduction)

        # m^γ is exp of γ log m, up to 15 here, whose rounding exp makes relative.
        bound = ROUNDING[dtype] * (8 if "focal" in name else 2)
        assert dx.dtype == dtype
        assert dx.shape == x.shape
        assert np.allclose(dx, slopes, rtol=bound, atol=bound * np.abs(slopes).max(initial=0))
        assert np.shape(loss) == (x.shape if reduction == "none" else ())
        assert np.allclose(loss, expected, rtol=bound, atol=0)
        assert type(loss) is float or loss.dtype == dtype


@pytest.mark.parametrize("name", NAMES)
def test_element_gradients(name):
    """The reference's gradient agrees with finite differences, for random upstream gradients."""
    x, call = elements(name, (4, 5), np.float64, np.random.default_rng(5))

    gradcheck(
        lambda x: call(ref, x, reduction="none")[0],
        x,
        lambda dy, x: dy * call(ref, x, reduction="none")[1],
    )
    for reduction in ("mean", "sum"):
        gradcheck(
            lambda x, r=reduction: np.float64(call(ref, x, reduction=r)[0]),
            x,
            lambda dy, x, r=reduction: dy * call(ref, x, reduction=r)[1],
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("answer", [0, 1])
def test_confident_answers_keep_their_accuracy(answer, dtype):
    """A loss of e^-40 is that, not 0, and so is its gradient."""
    x = np.array([40.0 if answer else -40.0], dtype)

    loss, dx = losses.binary_cross_entropy_with_logits(x, np.array([answer]))

    rel = 1e-6 if dtype == np.float32 else 1e-15
    assert loss == pytest.approx(np.exp(-40.0), rel=rel, abs=0)
    assert dx[0] == pytest.approx(np.exp(-40.0) * (-1 if answer else 1), rel=rel, abs=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_focal_loss_without_focus_is_binary_cross_entropy(dtype):
    """With γ = 0 and no α the two agree, to the limits of the dtype."""
    x = np.linspace(-120, 120, 97).astype(dtype)
    y = np.arange(97) % 2

    loss, dx = losses.focal(x, y, alpha=None, gamma=0, reduction="none")
    expected, slopes = losses.binary_cross_entropy_with_logits(x, y, reduction="none")

    assert np.array_equal(loss, expected)
    assert np.array_equal(dx, slopes)


def test_the_kink_of_the_absolute_error():
    """At 0 the gradient is 0; huber and smooth_l1 of one delta differ by that factor."""
    x, y = np.array([1.0, -2.0, 3.0]), np.array([1.0, 0.0, 0.0])

    assert losses.l1(x, y, reduction="sum")[1].tolist() == [0, -1, 1]
    assert losses.smooth_l1(x, y, beta=0)[0] == losses.l1(x, y)[0]
    assert losses.huber(x, y, delta=2.0)[0] == 2 * losses.smooth_l1(x, y, beta=2.0)[0]


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, r"mse: target must have shape \(2,\)", lambda x: losses.mse(x, x[:1])),
        (
            TypeError,
            r"l1: target is float32 and prediction",
            lambda x: losses.l1(x, x.astype("f4")),
        ),
        (TypeError, "l1: prediction has dtype int64", lambda x: losses.l1(x.astype(int), x)),
        (ValueError, "huber: delta must be above 0", lambda x: losses.huber(x, x, delta=0)),
        (ValueError, "huber: delta must be finite", lambda x: losses.huber(x, x, delta=np.inf)),
        (ValueError, "smooth_l1: beta must be", lambda x: losses.smooth_l1(x, x, beta=-1)),
        (ValueError, "focal: gamma must be", lambda x: losses.focal(x, x, gamma=-1)),
        (ValueError, "focal: alpha must be from 0 to 1", lambda x: losses.focal(x, x, alpha=2)),
        (ValueError, "focal: target has 2.0 at index 1", lambda x: losses.focal(x, 2 * x)),
        (ValueError, "mse: reduction must be one of", lambda x: losses.mse(x, x, reduction="max")),
    ],
)
def test_element_losses_refuse(error, message, call):
    """A bad argument is an error that names it and its value."""
    with pytest.raises(error, match=message):
        call(np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    ("error", "message", "target", "options"),
    [
        (ValueError, r"target has -1.0 at index \(1, 0\), expected numbers from 0 to 1", -1, {}),
        (ValueError, "target has nan", np.nan, {}),
        (ValueError, "pos_weight must be finite", 1, {"pos_weight": -1}),
        (ValueError, r"pos_weight has -1.0 at index \(0, 1\)", 1, {"pos_weight": [1, -1, 1]}),
        (ValueError, r"must broadcast to the shape \(2, 3\)", 1, {"sample_weight": [1, 1]}),
        (ValueError, "sample_weight has inf", 1, {"sample_weight": [np.inf]}),
        (TypeError, "sample_weight has dtype object", 1, {"sample_weight": [None]}),
    ],
)
def test_binary_cross_entropy_refuses(error, message, target, options):
    """Targets outside [0, 1] and bad weights are named with their place."""
    y = np.zeros((2, 3))
    y[1, 0] = target
    options = {k: np.asarray(v) if isinstance(v, list) else v for k, v in options.items()}
    with pytest.raises(error, match=message):
        losses.binary_cross_entropy_with_logits(np.zeros((2, 3)), y, **options)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_threads(dtype):
    """Sums over several blocks and many rows are the same for any number of threads."""
    case = ClassCase("many-rows", (3000, 11))
    on = {"class": True, "sample": True, "ignore": True, "smooth": True, "soft": False}
    z, target, options = problem(case, on, dtype)

    plain = {key: value for key, value in options.items() if key != "label_smoothing"}

    def run():
        seen = [*ops.softmax_cross_entropy(z, target, **options)]
        seen += [*losses.nll(z, target, **plain)]
        for name in NAMES:
            x, call = elements(name, (300, 200), dtype, np.random.default_rng(3))
            seen += [*call(losses, x)]
        return seen

    with cl.num_threads(1):
        serial = run()
    for threads in (2, 3):
        with cl.num_threads(threads):
            for a, b in zip(run(), serial, strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_loss_of_your_own():
    """A function that returns value and gradient trains a model like those that come with it."""

    def poisson(log_rate, count):
        rate = np.exp(log_rate)
        return float(np.mean(rate - count * log_rate)), (rate - count) / rate.size

    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 3))
    count = rng.poisson(np.exp(x @ np.array([[0.5], [-0.2], [0.3]]))).astype(float)
    model = cl.Sequential(cl.Linear(3, 1), rng=0).astype(np.float64)
    optimizer = cl.SGD(model.parameters(), lr=0.1)
    seen = []
    for _ in range(50):
        y, pullback = model.vjp(x, input_grad=False)
        loss, dy = poisson(y, count)
        pullback(dy)
        optimizer.step()
        optimizer.zero_grad()
        seen.append(loss)

    gradcheck(lambda y: np.float64(poisson(y, count)[0]), y, lambda g, y: g * poisson(y, count)[1])
    assert all(after < before for before, after in itertools.pairwise(seen))
