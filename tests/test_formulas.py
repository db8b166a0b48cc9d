"""One named test for each formula that docs/theory.md derives in sections 1 to 5.

The equation numbers in the docstrings are those of the page. Everything runs in float64 unless a
test says otherwise, and "relative" means relative to the largest entry of the expected array.
"""

import itertools
import math

import numpy as np
import pytest

import convlet as cl
from formulas import DIFFERENCES, ROUNDING, assert_close, numerical_gradient

# ---------------------------------------------------------------- 1. convolution

AXIS_CASES = list(
    itertools.product(
        range(1, 9),  # n: pixels
        range(1, 5),  # k: taps
        (1, 2, 3),  # s: stride
        (1, 2, 3),  # d: dilation
        [(0, 0), (1, 1), (2, 2), (0, 1), (3, 0)],  # p: zeros before and after
    )
)


def conv2d_on_axis(axis, n, k, s, d, p):
    """Convolve 2 images of 3 channels with 4 filters, of the given sizes on one axis."""

    def pair(this, other):
        return (this, other) if axis == 0 else (other, this)

    x = np.ones((2, *pair(n, 5), 3))
    w = np.ones((*pair(k, 2), 3, 4))
    return cl.ops.conv2d(x, w, stride=pair(s, 1), padding=pair(p, (0, 0)), dilation=pair(d, 1))


def numerator(n, k, d, p):
    """The numerator of the output size, equation (1.1)."""
    return n + p[0] + p[1] - d * (k - 1) - 1


@pytest.mark.parametrize("axis", [0, 1], ids=["H", "W"])
def test_convolution_output_shape(axis):
    """The output of conv2d has the size of (1.2), which is the number of places that fit."""
    for n, k, s, d, p in AXIS_CASES:
        if numerator(n, k, d, p) < 0:
            continue
        size = numerator(n, k, d, p) // s + 1
        padded = n + sum(p)
        places = sum(start + d * (k - 1) < padded for start in range(0, padded, s))
        shape = (2, size, 4, 4) if axis == 0 else (2, 4, size, 4)

        assert size == places, (n, k, s, d, p)
        assert conv2d_on_axis(axis, n, k, s, d, p).shape == shape, (n, k, s, d, p)


@pytest.mark.parametrize("axis", [0, 1], ids=["H", "W"])
def test_convolution_rejects_a_negative_numerator(axis):
    """A kernel longer than the padded axis is an error, not an empty output."""
    for n, k, s, d, p in AXIS_CASES:
        if numerator(n, k, d, p) < 0:
            with pytest.raises(ValueError, match="kernel"):
                conv2d_on_axis(axis, n, k, s, d, p)


@pytest.mark.parametrize("padding", ["same", "same_lower"])
def test_same_padding_rounds_up(padding):
    """Padding "same" makes ceil(n/s) outputs, the extra zero of an odd total at its own end."""
    for n, k, s, d in itertools.product(range(1, 9), range(1, 5), (1, 2, 3), (1, 2)):
        size = -(-n // s)
        total = max(0, (size - 1) * s + d * (k - 1) + 1 - n)
        small, large = total // 2, total - total // 2
        explicit = (small, large) if padding == "same" else (large, small)
        x = np.arange(1.0, n + 1).reshape(1, n, 1, 1)
        w = np.arange(1.0, k + 1).reshape(k, 1, 1, 1)
        options = {"stride": (s, 1), "dilation": (d, 1)}
        y = cl.ops.conv2d(x, w, padding=padding, **options)

        assert y.shape == (1, size, 1, 1), (n, k, s, d)
        np.testing.assert_array_equal(y, cl.ops.conv2d(x, w, padding=(explicit, (0, 0)), **options))


class Conv:
    """A small convolution with every option at an unusual value, and its formulas in loops."""

    stride, padding, dilation, groups = (2, 1), ((1, 2), (0, 1)), (1, 2), 2

    def __init__(self, rng):
        self.x = rng.standard_normal((2, 5, 6, 4))
        self.w = rng.standard_normal((3, 2, 2, 6))
        self.b = rng.standard_normal(6)
        self.dy = rng.standard_normal((2, 3, 5, 6))
        self.options = {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def terms(self):
        """Yield (h, v, i, j, u, v) with x[h, v] read by output (i, j) through tap (u, v)."""
        (H, W), (OH, OW), (KH, KW) = self.x.shape[1:3], self.dy.shape[1:3], self.w.shape[:2]
        for i, j, u, v in itertools.product(range(OH), range(OW), range(KH), range(KW)):
            row = i * self.stride[0] + u * self.dilation[0] - self.padding[0][0]
            column = j * self.stride[1] + v * self.dilation[1] - self.padding[1][0]
            if 0 <= row < H and 0 <= column < W:
                yield row, column, i, j, u, v

    def channels(self):
        """Yield, per group, the input channels and the output channels it connects."""
        C, OC = self.x.shape[3] // self.groups, self.w.shape[3] // self.groups
        for g in range(self.groups):
            yield slice(g * C, (g + 1) * C), slice(g * OC, (g + 1) * OC)

    def forward(self):
        """Equation (1.4)."""
        y = np.zeros_like(self.dy) + self.b
        for row, column, i, j, u, v in self.terms():
            for c, o in self.channels():
                y[:, i, j, o] += self.x[:, row, column, c] @ self.w[u, v, :, o]
        return y

    def weight_gradient(self):
        """Equation (1.6)."""
        dw = np.zeros_like(self.w)
        for row, column, i, j, u, v in self.terms():
            for c, o in self.channels():
                dw[u, v, :, o] += self.x[:, row, column, c].T @ self.dy[:, i, j, o]
        return dw

    def data_gradient(self):
        """Equations (1.7) and (1.8): which output, if any, reads a pixel through a tap."""
        (H, W), (OH, OW), (KH, KW) = self.x.shape[1:3], self.dy.shape[1:3], self.w.shape[:2]
        dx = np.zeros_like(self.x)
        for row, column, u, v in itertools.product(range(H), range(W), range(KH), range(KW)):
            i, i_rest = divmod(row + self.padding[0][0] - u * self.dilation[0], self.stride[0])
            j, j_rest = divmod(column + self.padding[1][0] - v * self.dilation[1], self.stride[1])
            if i_rest == 0 and j_rest == 0 and 0 <= i < OH and 0 <= j < OW:
                for c, o in self.channels():
                    dx[:, row, column, c] += self.dy[:, i, j, o] @ self.w[u, v, :, o].T
        return dx


def test_convolution_is_cross_correlation(rng):
    """conv2d is the sum (1.4), kernel unmirrored, with every option at once."""
    conv = Conv(rng)
    y = cl.ops.conv2d(conv.x, conv.w, conv.b, **conv.options)

    assert_close(y, conv.forward(), ROUNDING)


def test_convolution_gradients(rng):
    """conv2d_backward is (1.8) for the data, (1.6) for the weights and (1.5) for the bias."""
    conv = Conv(rng)
    dx, dw, db = cl.ops.conv2d_backward(conv.dy, conv.x, conv.w, **conv.options)

    assert_close(dx, conv.data_gradient(), ROUNDING)
    assert_close(dw, conv.weight_gradient(), ROUNDING)
    assert_close(db, conv.dy.sum(axis=(0, 1, 2)), ROUNDING)


def test_convolution_gradients_finite_differences(rng):
    """conv2d_backward agrees with finite differences of conv2d in all three arguments."""
    conv = Conv(rng)

    def loss(x, w, b):
        return np.sum(conv.dy * cl.ops.conv2d(x, w, b, **conv.options))

    dx, dw, db = cl.ops.conv2d_backward(conv.dy, conv.x, conv.w, **conv.options)

    assert_close(dx, numerical_gradient(lambda x: loss(x, conv.w, conv.b), conv.x), DIFFERENCES)
    assert_close(dw, numerical_gradient(lambda w: loss(conv.x, w, conv.b), conv.w), DIFFERENCES)
    assert_close(db, numerical_gradient(lambda b: loss(conv.x, conv.w, b), conv.b), DIFFERENCES)


def test_convolution_data_gradient_is_a_mirrored_convolution(rng):
    """At stride 1, dx is the layer applied to dy with w mirrored and padding d(k-1) - p."""
    x = rng.standard_normal((2, 6, 5, 3))
    w = rng.standard_normal((3, 2, 3, 4))
    dilation, padding = (1, 2), ((1, 2), (0, 1))
    dy = rng.standard_normal(cl.ops.conv2d(x, w, padding=padding, dilation=dilation).shape)
    mirrored = np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))
    spans = [d * (k - 1) for d, k in zip(dilation, w.shape[:2], strict=True)]
    opposite = tuple((span - p[0], span - p[1]) for span, p in zip(spans, padding, strict=True))
    dx, _, _ = cl.ops.conv2d_backward(dy, x, w, padding=padding, dilation=dilation)

    assert_close(cl.ops.conv2d(dy, mirrored, padding=opposite, dilation=dilation), dx, ROUNDING)


def test_convolution_is_a_matrix_product(rng):
    """With X gathered as in (1.9), conv2d and its gradients are the products (1.10)."""
    B, H, W, C, OC, KH, KW, s, p = 2, 6, 5, 3, 4, 3, 2, 2, 1
    x = rng.standard_normal((B, H, W, C))
    w = rng.standard_normal((KH, KW, C, OC))
    b = rng.standard_normal(OC)
    y = cl.ops.conv2d(x, w, b, stride=s, padding=p)
    dy = rng.standard_normal(y.shape)
    OH, OW = y.shape[1:3]

    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    X = np.empty((B * OH * OW, KH * KW * C))
    for n, i, j, u, v in itertools.product(*map(range, (B, OH, OW, KH, KW))):
        m, k = (n * OH + i) * OW + j, (u * KW + v) * C
        X[m, k : k + C] = padded[n, i * s + u, j * s + v]
    weights, dY = w.reshape(-1, OC), dy.reshape(-1, OC)
    dX = (dY @ weights.T).reshape(B, OH, OW, KH, KW, C)
    dpadded = np.zeros_like(padded)
    for n, i, j, u, v in itertools.product(*map(range, (B, OH, OW, KH, KW))):
        dpadded[n, i * s + u, j * s + v] += dX[n, i, j, u, v]
    dx, dw, db = cl.ops.conv2d_backward(dy, x, w, stride=s, padding=p)

    assert_close(y.reshape(-1, OC), X @ weights + b, ROUNDING)
    assert_close(dw.reshape(-1, OC), X.T @ dY, ROUNDING)
    assert_close(dx, dpadded[:, p:-p, p:-p], ROUNDING)
    assert_close(db, dY.T @ np.ones(len(dY)), ROUNDING)


# ---------------------------------------------------------------- 2. batch norm

PIXELS = (0, 1, 2)  # every axis but the channels


class Norm:
    """Random operands of a batch norm over 24 values in each of 5 channels."""

    def __init__(self, rng, eps=1e-5):
        self.eps = eps
        spread = np.array([0.2, 0.5, 1.0, 2.0, 5.0])
        self.x = 3.0 + spread * rng.standard_normal((3, 2, 4, 5))
        self.gamma = rng.standard_normal(5)
        self.beta = rng.standard_normal(5)
        self.dy = rng.standard_normal(self.x.shape)
        self.mean = self.x.mean(axis=PIXELS)
        self.var = np.square(self.x - self.mean).mean(axis=PIXELS)
        self.x_hat = (self.x - self.mean) / np.sqrt(self.var + eps)

    def long_backward(self):
        """Equations (2.4) to (2.9), one intermediate gradient after the other."""
        N = self.x[..., 0].size
        centred = self.x - self.mean
        root = np.sqrt(self.var + self.eps)
        dbeta = self.dy.sum(axis=PIXELS)
        dgamma = (self.dy * self.x_hat).sum(axis=PIXELS)
        dx_hat = self.dy * self.gamma
        dvar = (dx_hat * centred).sum(axis=PIXELS) * -0.5 * (self.var + self.eps) ** -1.5
        dmean = -(dx_hat / root).sum(axis=PIXELS) + dvar * -2 / N * centred.sum(axis=PIXELS)
        dx = dx_hat / root + dvar * 2 * centred / N + dmean / N
        return dx, dgamma, dbeta

    def collected_backward(self, dy):
        """Equation (2.10), with the sums (2.4) and (2.5), for the upstream gradient dy."""
        N = self.x[..., 0].size
        dbeta = dy.sum(axis=PIXELS)
        dgamma = (dy * self.x_hat).sum(axis=PIXELS)
        scale = self.gamma / np.sqrt(self.var + self.eps)
        return scale * (dy - dbeta / N - self.x_hat * dgamma / N), dgamma, dbeta


def test_batch_norm_forward(rng):
    """batch_norm is (2.1), and returns the mean and the biased variance it used."""
    norm = Norm(rng)
    y, mean, var = cl.ops.batch_norm(norm.x, norm.gamma, norm.beta, eps=norm.eps)

    assert_close(y, norm.gamma * norm.x_hat + norm.beta, ROUNDING)
    assert_close(mean, norm.mean, ROUNDING)
    assert_close(var, norm.var, ROUNDING)


# 0.1 is comparable with the smallest variance, so that no term in epsilon can hide.
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_batch_norm_backward_forms_agree(rng, eps):
    """The long form (2.9), the collected form (2.10) and batch_norm_backward are the same."""
    norm = Norm(rng, eps)
    _, mean, var = cl.ops.batch_norm(norm.x, norm.gamma, norm.beta, eps=eps)
    computed = cl.ops.batch_norm_backward(norm.dy, norm.x, norm.gamma, mean, var, eps=eps)
    collected = norm.collected_backward(norm.dy)
    long = norm.long_backward()

    for ours, short_form, long_form in zip(computed, collected, long, strict=True):
        assert_close(short_form, long_form, ROUNDING)
        assert_close(ours, long_form, ROUNDING)


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_batch_norm_backward_finite_differences(rng, eps):
    """batch_norm_backward agrees with finite differences of batch_norm in x, gamma and beta."""
    norm = Norm(rng, eps)

    def loss(x, gamma, beta):
        return np.sum(norm.dy * cl.ops.batch_norm(x, gamma, beta, eps=eps)[0])

    _, mean, var = cl.ops.batch_norm(norm.x, norm.gamma, norm.beta, eps=eps)
    dx, dgamma, dbeta = cl.ops.batch_norm_backward(norm.dy, norm.x, norm.gamma, mean, var, eps=eps)
    by_x = numerical_gradient(lambda x: loss(x, norm.gamma, norm.beta), norm.x)
    by_gamma = numerical_gradient(lambda gamma: loss(norm.x, gamma, norm.beta), norm.gamma)
    by_beta = numerical_gradient(lambda beta: loss(norm.x, norm.gamma, beta), norm.beta)

    assert_close(dx, by_x, DIFFERENCES)
    assert_close(dgamma, by_gamma, DIFFERENCES)
    assert_close(dbeta, by_beta, DIFFERENCES)


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_batch_norm_gradient_ignores_shift_and_stretch(rng, eps):
    """By (2.11) dx sums to 0, and against x - mean to what epsilon lets through."""
    norm = Norm(rng, eps)
    dx, dgamma, _ = cl.ops.batch_norm_backward(
        norm.dy, norm.x, norm.gamma, norm.mean, norm.var, eps=eps
    )
    through = norm.gamma * dgamma * eps / (norm.var + eps)
    centred = norm.x - norm.mean
    stretch = (dx * centred).sum(axis=PIXELS)

    # Both sums cancel, so their rounding scales with the sum of the absolute values.
    assert np.all(np.abs(dx.sum(axis=PIXELS)) <= ROUNDING * np.abs(dx).sum(axis=PIXELS))
    assert np.all(np.abs(stretch - through) <= ROUNDING * np.abs(dx * centred).sum(axis=PIXELS))


def test_batch_norm_fused_relu(rng):
    """With a fused ReLU, the masked gradient takes the place of dy as in (2.14)."""
    norm = Norm(rng)
    y, mean, var = cl.ops.batch_norm(norm.x, norm.gamma, norm.beta, eps=norm.eps, activation="relu")
    a = norm.gamma * norm.x_hat + norm.beta
    expected = norm.collected_backward(norm.dy * (a > 0))
    options = {"eps": norm.eps, "activation": "relu"}
    from_y = cl.ops.batch_norm_backward(norm.dy, norm.x, norm.gamma, mean, var, y=y, **options)
    from_beta = cl.ops.batch_norm_backward(
        norm.dy, norm.x, norm.gamma, mean, var, beta=norm.beta, **options
    )

    assert np.abs(a).min() > ROUNDING  # no value so near the kink that rounding chooses its side
    assert_close(y, np.maximum(a, 0), ROUNDING)
    for gradients in (from_y, from_beta):
        for ours, formula in zip(gradients, expected, strict=True):
            assert_close(ours, formula, ROUNDING)


def test_batch_norm_fused_residual_and_relu(rng):
    """Residual and ReLU together are (2.12) to (2.14), and agree with finite differences."""
    norm = Norm(rng)
    residual = rng.standard_normal(norm.x.shape)
    a = norm.gamma * norm.x_hat + norm.beta + residual
    # Every argument of the ReLU is moved at least 0.1 from the kink, which no difference crosses.
    residual += np.copysign(0.1, a)
    a = norm.gamma * norm.x_hat + norm.beta + residual

    def loss(x, gamma, beta, residual):
        y, _, _ = cl.ops.batch_norm(
            x, gamma, beta, eps=norm.eps, residual=residual, activation="relu"
        )
        return np.sum(norm.dy * y)

    y, mean, var = cl.ops.batch_norm(
        norm.x, norm.gamma, norm.beta, eps=norm.eps, residual=residual, activation="relu"
    )
    gradients = cl.ops.batch_norm_backward(
        norm.dy,
        norm.x,
        norm.gamma,
        mean,
        var,
        eps=norm.eps,
        y=y,
        activation="relu",
        residual=True,
    )
    da = norm.dy * (a > 0)
    arguments = [norm.x, norm.gamma, norm.beta, residual]

    assert_close(y, np.maximum(a, 0), ROUNDING)
    for ours, formula in zip(gradients, [*norm.collected_backward(da), da], strict=True):
        assert_close(ours, formula, ROUNDING)
    for position, ours in enumerate(gradients):

        def moved(value, position=position):
            return loss(*arguments[:position], value, *arguments[position + 1 :])

        assert_close(ours, numerical_gradient(moved, arguments[position]), DIFFERENCES)


def test_batch_norm_frozen(rng):
    """With given statistics only the first path is left, and the gradients are (2.15)."""
    norm = Norm(rng)
    mean, var = rng.standard_normal(5), rng.uniform(0.5, 2.0, 5)
    x_hat = (norm.x - mean) / np.sqrt(var + norm.eps)

    def loss(x, gamma, beta):
        y = cl.ops.batch_norm_inference(x, gamma, beta, mean, var, eps=norm.eps)
        return np.sum(norm.dy * y)

    y = cl.ops.batch_norm_inference(norm.x, norm.gamma, norm.beta, mean, var, eps=norm.eps)
    dx, dgamma, dbeta = cl.ops.batch_norm_backward(
        norm.dy, norm.x, norm.gamma, mean, var, eps=norm.eps, frozen=True
    )
    by_x = numerical_gradient(lambda x: loss(x, norm.gamma, norm.beta), norm.x)
    by_gamma = numerical_gradient(lambda gamma: loss(norm.x, gamma, norm.beta), norm.gamma)
    by_beta = numerical_gradient(lambda beta: loss(norm.x, norm.gamma, beta), norm.beta)

    assert_close(y, norm.gamma * x_hat + norm.beta, ROUNDING)
    assert_close(dx, norm.gamma / np.sqrt(var + norm.eps) * norm.dy, ROUNDING)
    assert_close(dgamma, (norm.dy * x_hat).sum(axis=PIXELS), ROUNDING)
    assert_close(dbeta, norm.dy.sum(axis=PIXELS), ROUNDING)
    assert_close(dx, by_x, DIFFERENCES)
    assert_close(dgamma, by_gamma, DIFFERENCES)
    assert_close(dbeta, by_beta, DIFFERENCES)


# ---------------------------------------------------------------- 3. batch norm as the identity


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_batch_norm_identity(rng, eps):
    """With gamma = sqrt(Var + eps) and beta = E[x], batch norm returns its input (3.2)."""
    norm = Norm(rng, eps)
    y, _, _ = cl.ops.batch_norm(norm.x, np.sqrt(norm.var + eps), norm.mean, eps=eps)

    assert_close(y, norm.x, ROUNDING)


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_batch_norm_identity_needs_epsilon(rng, eps):
    """With gamma = sqrt(Var), y - beta is short by exactly the factor of (3.3)."""
    norm = Norm(rng, eps)
    y, _, _ = cl.ops.batch_norm(norm.x, np.sqrt(norm.var), norm.mean, eps=eps)
    factor = np.sqrt(norm.var / (norm.var + eps))

    assert np.all(factor < 1 - 1e-7)  # far above rounding: the shortfall is really there
    assert_close(y - norm.mean, (norm.x - norm.mean) * factor, ROUNDING)


def test_batch_norm_layer_identity(rng):
    """A BatchNorm layer given (3.2) and the statistics of x is the identity at both doors."""
    norm = Norm(rng)
    model = cl.Sequential(cl.BatchNorm(5, eps=norm.eps)).astype("float64")
    model.load_state_dict(
        model.state_dict()
        | {
            "0.gamma": np.sqrt(norm.var + norm.eps),
            "0.beta": norm.mean,
            "0.running_mean": norm.mean,
            "0.running_var": norm.var,
        }
    )

    assert_close(model(norm.x), norm.x, ROUNDING)
    y, _ = model.vjp(norm.x)
    assert_close(y, norm.x, ROUNDING)


# ---------------------------------------------------------------- 4. softmax


def test_softmax_jacobian(rng):
    """The Jacobian (4.4) is that of softmax, and softmax_backward multiplies by it."""
    for z in rng.standard_normal((4, 7)) * 3:
        dy = rng.standard_normal(7)
        y = cl.ops.softmax(z[None])
        jacobian = y[0][:, None] * (np.eye(7) - y[0][None, :])
        differences = np.stack(
            [numerical_gradient(lambda z, i=i: cl.ops.softmax(z[None])[0, i], z) for i in range(7)]
        )

        assert_close(y[0], np.exp(z) / np.exp(z).sum(), ROUNDING)
        assert_close(jacobian, differences, DIFFERENCES)
        assert_close(cl.ops.softmax_backward(dy[None], y)[0], jacobian.T @ dy, ROUNDING)


def test_log_softmax_jacobian(rng):
    """The Jacobian of (4.6) is that of log_softmax, and log_softmax_backward multiplies by it."""
    for z in rng.standard_normal((4, 7)) * 3:
        dy = rng.standard_normal(7)
        y = cl.ops.log_softmax(z[None])
        jacobian = np.eye(7) - np.exp(y)
        differences = np.stack(
            [
                numerical_gradient(lambda z, i=i: cl.ops.log_softmax(z[None])[0, i], z)
                for i in range(7)
            ]
        )

        assert_close(y[0], z - np.log(np.exp(z).sum()), ROUNDING)
        assert_close(jacobian, differences, DIFFERENCES)
        assert_close(cl.ops.log_softmax_backward(dy[None], y)[0], jacobian.T @ dy, ROUNDING)


# ---------------------------------------------------------------- 5. cross-entropy


def check_cross_entropy(logits, target, rows, tolerance=ROUNDING):
    """Hold value and gradient against (5.1), (5.2) and finite differences; rows are targets y."""
    y_hat = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss, dlogits = cl.softmax_cross_entropy(logits, target, reduction="sum")
    mean, dmean = cl.softmax_cross_entropy(logits, target, reduction="mean")
    differences = numerical_gradient(
        lambda z: cl.softmax_cross_entropy(z, target, reduction="sum")[0], logits
    )

    assert loss == pytest.approx(-np.sum(rows * np.log(y_hat)), rel=tolerance)
    assert_close(dlogits, rows.sum(axis=1, keepdims=True) * y_hat - rows, tolerance)
    assert_close(dlogits, differences, DIFFERENCES)
    assert mean == pytest.approx(loss / len(logits), rel=tolerance)
    assert_close(dmean, dlogits / len(logits), tolerance)


def test_cross_entropy_gradient_of_labels(rng):
    """For integer labels the gradient by the logits is softmax minus one-hot (5.3)."""
    labels = rng.integers(0, 7, 6)

    check_cross_entropy(2 * rng.standard_normal((6, 7)), labels, np.eye(7)[labels])


def test_cross_entropy_gradient_of_soft_targets(rng):
    """For soft targets that sum to 1 the gradient is softmax minus target (5.3)."""
    target = rng.dirichlet(np.ones(7), 6)

    check_cross_entropy(2 * rng.standard_normal((6, 7)), target, target)


def test_cross_entropy_gradient_of_targets_that_do_not_sum_to_one(rng):
    """For any other target the sum of its row multiplies the softmax (5.2), a zero row included."""
    target = rng.uniform(0, 1, (6, 7)) * np.array([[0.0], [0.1], [0.5], [1.0], [2.0], [10.0]])

    check_cross_entropy(2 * rng.standard_normal((6, 7)), target, target)


# The exact results are small integers, halves, thirds and log 3: a few roundings of the type.
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_cross_entropy_of_extreme_logits(dtype, tolerance):
    """Logits of 1e4 either way give the exact loss and gradient, nothing infinite or clipped."""
    logits = np.array(
        [[1e4, -1e4, 0.0], [1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]], dtype
    )
    labels = np.array([0, 1, 2, 0])
    soft = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 3], [0.25, 0.25, 0.5]], dtype)
    losses, dlogits = cl.softmax_cross_entropy(logits, labels, reduction="none")
    total, dsoft = cl.softmax_cross_entropy(logits, soft, reduction="sum")
    third, half = 1 / 3, 1 / 2

    np.testing.assert_allclose(losses, [0, 2e4, math.log(3), math.log(2)], rtol=tolerance)
    np.testing.assert_allclose(
        dlogits,
        [[0, 0, 0], [1, -1, 0], [third, third, -2 * third], [-half, half, 0]],
        rtol=tolerance,
    )
    assert total == pytest.approx(
        0 + 1e4 + 3 * math.log(3) + math.log(2) + 0.5 * 2e4, rel=tolerance
    )
    np.testing.assert_allclose(
        dsoft,
        [[0, 0, 0], [half, -half, 0], [1, 1, -2], [1 / 4, 1 / 4, -1 / 2]],
        rtol=tolerance,
    )


# An exponential of 1 ulp, 9 additions and a quotient: some ten roundings, 6e-8 or 1.1e-16 each. In
# float32 the loss of a single row is a double, but its exponentials are floats.
@pytest.mark.parametrize(
    ("dtype", "margins", "tolerance"),
    [
        ("float32", (5.0, 16.0, 17.0, 30.0, 60.0), 2e-6),
        ("float64", (5.0, 37.0, 80.0, 600.0), 4e-15),
    ],
)
def test_cross_entropy_of_confident_rows(dtype, margins, tolerance):
    """Loss and gradient of a confident row keep their digits (5.8) where 1 + R rounds to 1."""
    for margin in margins:
        logits = np.zeros((1, 10), dtype)
        logits[0, 3] = margin
        rest = 9 * math.exp(-margin)
        expected = np.full(10, math.exp(-margin) / (1 + rest))
        expected[3] = -rest / (1 + rest)
        loss, dlogits = cl.softmax_cross_entropy(logits, np.array([3]), reduction="sum")

        assert loss == pytest.approx(math.log1p(rest), rel=tolerance, abs=0)
        np.testing.assert_allclose(dlogits[0], expected, rtol=tolerance)
