"""The reference of softmax and cross-entropy: gradients, values by hand and its formulas."""

import numpy as np
import pytest

from cases import CLASS_CASES, by_name, rng_of
from convlet import reference as ref
from convlet.gradcheck import gradcheck


def logits_of(case):
    return case.offset + case.scale * rng_of(case).standard_normal(case.shape)


@by_name(CLASS_CASES)
def test_softmax_gradients(case):
    """Softmax and log-softmax agree with finite differences, and rows sum to 1."""
    z, axis = logits_of(case), case.axis

    y = ref.softmax(z, axis=axis)

    assert np.allclose(y.sum(axis=axis), 1, rtol=1e-14)
    assert np.allclose(np.exp(ref.log_softmax(z, axis=axis)), y, rtol=1e-12, atol=0)
    gradcheck(
        lambda z: ref.softmax(z, axis=axis),
        z,
        lambda dy, z: ref.softmax_backward(dy, ref.softmax(z, axis=axis), axis=axis),
        samples=60,
    )
    gradcheck(
        lambda z: ref.log_softmax(z, axis=axis),
        z,
        lambda dy, z: ref.log_softmax_backward(dy, ref.log_softmax(z, axis=axis), axis=axis),
        samples=60,
    )


@by_name(CLASS_CASES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("kind", ["labels", "soft"])
def test_cross_entropy_gradient(case, reduction, kind):
    """dlogits is the gradient of the sum of what is returned, for labels and for soft targets."""
    z, rng = logits_of(case), rng_of(case)
    if kind == "labels":
        target = rng.integers(0, case.shape[case.axis], case.rows_shape)
    else:
        target = rng.uniform(0, 1, case.shape)

    def forward(z):
        return np.sum(call(z)[0])

    def call(z):
        return ref.softmax_cross_entropy(z, target, axis=case.axis, reduction=reduction)

    loss, _ = call(z)
    assert loss.shape == case.rows_shape if reduction == "none" else isinstance(loss, float)
    gradcheck(forward, z, lambda dy, z: dy * call(z)[1], samples=60)


@by_name(CLASS_CASES)
def test_cross_entropy_of_one_hot_targets(case):
    """A label and its one-hot row give the same loss, and a mean is a sum over rows."""
    z, classes = logits_of(case), case.shape[case.axis]
    labels = rng_of(case).integers(0, classes, case.rows_shape)
    one_hot = np.moveaxis(np.eye(classes)[labels], -1, case.axis)

    loss, dz = ref.softmax_cross_entropy(z, labels, axis=case.axis, reduction="none")
    soft_loss, soft_dz = ref.softmax_cross_entropy(z, one_hot, axis=case.axis, reduction="none")
    mean, _ = ref.softmax_cross_entropy(z, labels, axis=case.axis)

    assert np.array_equal(loss, soft_loss)
    assert np.allclose(dz, soft_dz, rtol=0, atol=1e-15)
    assert mean == (loss.sum() / loss.size if loss.size else 0.0)


def test_cross_entropy_of_a_confident_row():
    """A loss near 0 keeps its relative accuracy, and so does the gradient at the label."""
    gap = np.array([[40.0, 0.0]])

    loss, dz = ref.softmax_cross_entropy(gap, np.array([0]))

    assert loss == pytest.approx(np.exp(-40.0), rel=1e-15, abs=0)
    assert dz[0].tolist() == pytest.approx([-np.exp(-40.0), np.exp(-40.0)], rel=1e-15, abs=0)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([1e308, -1e308, 0.0], 0.0),
        ([0.0, 1e308, 1e308], 1e308),
        ([0.0, 0.0, -np.inf], np.log(2)),
        ([-np.inf, 0.0, 0.0], np.inf),
        ([0.0, np.inf, 0.0], np.nan),
        ([-np.inf, -np.inf, -np.inf], np.nan),
        ([0.0, np.nan, 0.0], np.nan),
    ],
)
def test_cross_entropy_at_the_limits(row, expected):
    """Huge and infinite logits give the limit of the loss; without a limit it is NaN."""
    loss, dz = ref.softmax_cross_entropy(np.array([row]), np.array([0]))

    assert loss == pytest.approx(expected, rel=1e-15, nan_ok=True)
    assert np.isfinite(dz).all() == (not np.isnan(expected))


def test_cross_entropy_skips_classes_without_weight():
    """A soft target of 0 adds nothing, also where the logit is -inf."""
    loss, _ = ref.softmax_cross_entropy(np.array([[0.0, 0.0, -np.inf]]), np.array([[0.5, 0.5, 0]]))

    assert loss == pytest.approx(np.log(2), rel=1e-15)


@pytest.mark.parametrize(
    ("error", "message", "target", "options"),
    [
        (ValueError, "label 3 at \\(1,\\) is outside 0 ... 2", np.array([0, 3]), {}),
        (ValueError, "label -1 at \\(0,\\)", np.array([-1, 3]), {}),
        (ValueError, "labels \\(3,\\) must have the shape \\(2,\\)", np.array([0, 1, 2]), {}),
        (ValueError, "soft targets \\(2,\\)", np.array([0.0, 1.0]), {}),
        (TypeError, "integers or floats, got bool", np.array([True, False]), {}),
        (ValueError, "reduction must be", np.array([0, 1]), {"reduction": "max"}),
    ],
)
def test_cross_entropy_refuses(error, message, target, options):
    """A bad target is an error that names the value, its place and the range."""
    with pytest.raises(error, match=message):
        ref.softmax_cross_entropy(np.zeros((2, 3)), target, **options)


def test_softmax_refuses_no_classes():
    """Logits without a class have no probabilities."""
    with pytest.raises(ValueError, match="no classes"):
        ref.softmax(np.zeros((2, 0)))
