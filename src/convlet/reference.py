"""Every operator of convlet in plain NumPy: the readable definition, and the oracle of the tests.

Arrays are channels last: x (N,H,W,C), w (KH,KW,C/groups,OC). The dtype of the inputs is kept, sums
included; the definition is meant for float64, where finite differences confirm each gradient.
Sizes (kernel, stride, dilation, padding) are an int or a pair; padding may also be
((top, bottom), (left, right)), "valid", "same" (TensorFlow's rule: ceil(n/stride) outputs, the odd
pixel at the end) or "same_lower" (the odd pixel at the beginning). Inputs are never written.
"""

from typing import NamedTuple

import numpy as np


class _Axis(NamedTuple):
    """One spatial axis of a window that slides over n values, between begin and end zeros."""

    n: int
    kernel: int
    stride: int
    dilation: int
    begin: int
    end: int
    out: int

    @property
    def extent(self):
        """Length of the padded axis, stretched to the last tap when a pool rounds up."""
        last_tap = (self.out - 1) * self.stride + self.dilation * (self.kernel - 1)
        return max(self.begin + self.n + self.end, last_tap + 1)

    def tap(self, u):
        """Positions on the padded axis which kernel tap u meets, one for each output."""
        first = u * self.dilation
        return slice(first, first + (self.out - 1) * self.stride + 1, self.stride)


def _integer(value, name, minimum):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def _pair(value, name, minimum=1):
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name} must be an integer or a pair, got {value!r}")
    return tuple(_integer(v, name, minimum) for v in values)


def _axis_padding(padding, axis, n, kernel, stride, dilation):
    """Zeros before and after axis 0 or 1, from any accepted form of padding."""
    if isinstance(padding, str):
        if padding == "valid":
            return 0, 0
        if padding in ("same", "same_lower"):
            total = max((-(-n // stride) - 1) * stride + dilation * (kernel - 1) + 1 - n, 0)
            small, large = total // 2, total - total // 2
            return (small, large) if padding == "same" else (large, small)
        raise ValueError(f"padding must be 'valid', 'same' or 'same_lower', got {padding!r}")
    if isinstance(padding, (tuple, list)):
        if len(padding) != 2:
            raise ValueError(f"padding must have two entries, one per axis, got {padding!r}")
        padding = padding[axis]
    return _pair(padding, "padding", minimum=0)


def _geometry(sizes, kernel_size, stride, padding, dilation, ceil_mode=False):
    """The two spatial axes of a sliding window; ceil_mode rounds the output up, as PyTorch does."""
    kernels = _pair(kernel_size, "kernel_size")
    strides, dilations = _pair(stride, "stride"), _pair(dilation, "dilation")
    axes = []
    for axis, (n, k, s, d) in enumerate(zip(sizes, kernels, strides, dilations, strict=True)):
        if n < 1:
            raise ValueError(f"the image must have at least one pixel per axis, got {sizes}")
        begin, end = _axis_padding(padding, axis, n, k, s, d)
        numerator = begin + n + end - d * (k - 1) - 1
        out = (numerator + (s - 1 if ceil_mode else 0)) // s + 1
        if out < 1:
            raise ValueError(
                f"a kernel of {k} with dilation {d} spans {d * (k - 1) + 1} pixels, "
                f"more than the {begin} + {n} + {end} of the padded image"
            )
        if ceil_mode and (out - 1) * s >= begin + n:
            out -= 1  # the last window must start inside the image or the padding before it
        axes.append(_Axis(n, k, s, d, begin, end, out))
    return tuple(axes)


def _taps(axes):
    return [(u, v) for u in range(axes[0].kernel) for v in range(axes[1].kernel)]


def _pad(x, axes):
    """x (N, H, W, C) inside zeros."""
    before_and_after = [(a.begin, a.extent - a.begin - a.n) for a in axes]
    return np.pad(x, [(0, 0), *before_and_after, (0, 0)])


def _padded_zeros(x_shape, axes, dtype):
    n, _, _, c = x_shape
    return np.zeros((n, axes[0].extent, axes[1].extent, c), dtype)


def _crop(padded, axes):
    h, w = axes
    return padded[:, h.begin : h.begin + h.n, w.begin : w.begin + w.n, :].copy()


def _tap(padded, axes, u, v):
    """The view (N, OH, OW, C) of the pixels that kernel tap (u, v) meets."""
    return padded[:, axes[0].tap(u), axes[1].tap(v), :]


def _conv_geometry(x_shape, w_shape, stride, padding, dilation, groups):
    if len(x_shape) != 4 or len(w_shape) != 4:
        raise ValueError(
            f"x must be (N,H,W,C) and w (KH,KW,C/groups,OC), got {x_shape} and {w_shape}"
        )
    groups = _integer(groups, "groups", 1)
    c, (_, _, group_c, oc) = x_shape[3], w_shape
    if min(c, group_c, oc) < 1:
        raise ValueError(f"channels must be at least 1, got x {x_shape} and w {w_shape}")
    if c != group_c * groups or oc % groups:
        raise ValueError(
            f"groups={groups} must split the {c} channels of x into parts of {group_c}, "
            f"as w {w_shape} has them, and the {oc} output channels evenly"
        )
    return _geometry(x_shape[1:3], w_shape[:2], stride, padding, dilation), groups


def _by_group(a, groups):
    """Pixels (..., C) as matrices (groups, pixels, C/groups)."""
    c = a.shape[-1] // groups
    return a.reshape(a.size // (groups * c), groups, c).transpose(1, 0, 2)


def _from_groups(a, shape):
    return a.transpose(1, 0, 2).reshape(shape)


def conv2d_output_shape(x_shape, w_shape, *, stride=1, padding=0, dilation=1, groups=1):
    """Shape of conv2d(x, w).

    (N, OH, OW, OC), where per axis O = floor((n + begin + end - d(k - 1) - 1) / s) + 1
    """
    (h, w), _ = _conv_geometry(x_shape, w_shape, stride, padding, dilation, groups)
    return x_shape[0], h.out, w.out, w_shape[3]


def conv2d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1, activation=None):
    """Cross-correlate a batch with a bank of filters.

        y[n,i,j,o] = act(b[o] + Σ_{u,v,c} x[n, i·sh-top+u·dh, j·sw-left+v·dw, c] · w[u,v,c,o])

    x counts as 0 outside its bounds; with groups, output channel o sees only its own group's c.
    """
    axes, groups = _conv_geometry(x.shape, w.shape, stride, padding, dilation, groups)
    y_shape = (x.shape[0], axes[0].out, axes[1].out, w.shape[3])
    padded = _pad(x, axes)
    y = np.zeros(y_shape, np.result_type(x, w))
    for u, v in _taps(axes):
        product = _by_group(_tap(padded, axes, u, v), groups) @ _by_group(w[u, v], groups)
        y += _from_groups(product, y_shape)
    if b is not None:
        y += b
    return _activate(y, activation)


def conv2d_backward(
    dy, x, w, *, stride=1, padding=0, dilation=1, groups=1, needs=(True, True, True)
):
    """Gradients (dx, dw, db) of Σ dy·conv2d(x, w, b), None where not needed.

        dx[n,p,q,c] = Σ dy[n,i,j,o] · w[u,v,c,o] over all i·sh-top+u·dh = p, j·sw-left+v·dw = q
        dw[u,v,c,o] = Σ_{n,i,j} dy[n,i,j,o] · x[n, i·sh-top+u·dh, j·sw-left+v·dw, c]
        db[o] = Σ_{n,i,j} dy[n,i,j,o]

    dy is taken before any activation.
    """
    axes, groups = _conv_geometry(x.shape, w.shape, stride, padding, dilation, groups)
    needs_dx, needs_dw, needs_db = needs
    dtype = np.result_type(dy, x, w)
    dy_groups = _by_group(dy, groups)
    dx = dw = db = None
    if needs_dx:
        padded = _padded_zeros(x.shape, axes, dtype)
        for u, v in _taps(axes):
            target = _tap(padded, axes, u, v)
            product = dy_groups @ _by_group(w[u, v], groups).transpose(0, 2, 1)
            target += _from_groups(product, target.shape)
        dx = _crop(padded, axes)
    if needs_dw:
        padded = _pad(x, axes)
        dw = np.zeros(w.shape, dtype)
        for u, v in _taps(axes):
            pixels = _by_group(_tap(padded, axes, u, v), groups)
            dw[u, v] = _from_groups(pixels.transpose(0, 2, 1) @ dy_groups, w.shape[2:])
    if needs_db:
        db = dy.sum(axis=(0, 1, 2))
    return dx, dw, db


def _all_but_last(x):
    return tuple(range(x.ndim - 1))


def linear(x, w, b=None):
    """y = x w + b along the last axis: x (..., in), w (in, out)."""
    return x @ w if b is None else x @ w + b


def linear_backward(dy, x, w, *, needs=(True, True, True)):
    """Gradients (dx, dw, db) of Σ dy·linear(x, w, b), None where not needed.

    dx = dy wᵀ,  dw = Σ_rows xᵀ dy,  db = Σ_rows dy
    """
    rows = _all_but_last(x)
    dx = dy @ w.T if needs[0] else None
    dw = np.tensordot(x, dy, axes=(rows, rows)) if needs[1] else None
    db = dy.sum(axis=rows) if needs[2] else None
    return dx, dw, db


def _activate(y, activation):
    if activation is None:
        return y
    if activation == "relu":
        return relu(y)
    raise ValueError(f"activation must be None or 'relu', got {activation!r}")


def relu(x):
    """y = max(x, 0); NaN stays NaN."""
    return np.where(x < 0, x.dtype.type(0), x)


def relu_backward(dy, y):
    """Gradient of Σ dy·relu(x) from y = relu(x): dx = dy·[y > 0]."""
    return np.where(y > 0, dy, dy.dtype.type(0))


def batch_norm(x, gamma, beta, *, eps=1e-5, residual=None, activation=None):
    """Normalise each channel by its own batch; returns (y, mean, var), var being the biased one.

    mean = Σx / N,  var = Σ(x - mean)² / N  over all axes but channels
    y = act(γ (x - mean)/√(var + ε) + β + residual)
    """
    if x.size == 0:
        raise ValueError(f"batch_norm needs at least one value per channel, got x {x.shape}")
    mean = x.mean(axis=_all_but_last(x))
    var = np.square(x - mean).mean(axis=_all_but_last(x))
    y = batch_norm_inference(
        x, gamma, beta, mean, var, eps=eps, residual=residual, activation=activation
    )
    return y, mean, var


def batch_norm_inference(x, gamma, beta, mean, var, *, eps=1e-5, residual=None, activation=None):
    """Normalise each channel by given statistics.

    y = act(γ (x - mean)/√(var + ε) + β + residual)
    """
    y = gamma * (x - mean) / np.sqrt(var + eps) + beta
    if residual is not None:
        y = y + residual
    return _activate(y, activation)


def batch_norm_backward(
    dy,
    x,
    gamma,
    mean,
    var,
    *,
    eps=1e-5,
    beta=None,
    y=None,
    activation=None,
    residual=False,
    frozen=False,
):
    """Gradients (dx, dgamma, dbeta), and dresidual with residual=True, of Σ dy·batch_norm(...)[0].

        dz = dy · [y > 0] with activation="relu", else dy;  dresidual = dz
        x̂ = (x - mean)/√(var + ε);  dβ = Σ dz;  dγ = Σ dz·x̂
        dx = γ/√(var + ε) · (dz - dβ/N - x̂·dγ/N);  frozen (given mean and var): γ/√(var + ε) · dz

    An activation needs y, or beta to recompute it; with a residual, y.
    """
    scale = 1 / np.sqrt(var + eps)
    x_hat = (x - mean) * scale
    dz = dy.copy()
    if activation is not None:
        if y is None and (beta is None or residual):
            raise ValueError("activation needs y, or beta when there is no residual")
        y = _activate(gamma * x_hat + beta, activation) if y is None else y
        dz = relu_backward(dy, y)
    dbeta = dz.sum(axis=_all_but_last(x))
    dgamma = (dz * x_hat).sum(axis=_all_but_last(x))
    dx = gamma * scale * dz
    if not frozen:
        count = max(x.size // x.shape[-1], 1)
        dx = gamma * scale * (dz - dbeta / count - x_hat * (dgamma / count))
    return (dx, dgamma, dbeta, dz) if residual else (dx, dgamma, dbeta)


def _pool_geometry(x_shape, kernel_size, stride, padding, dilation, ceil_mode):
    if len(x_shape) != 4:
        raise ValueError(f"x must be (N,H,W,C), got {x_shape}")
    stride = kernel_size if stride is None else stride
    axes = _geometry(x_shape[1:3], kernel_size, stride, padding, dilation, ceil_mode)
    for a in axes:
        span = a.dilation * (a.kernel - 1) + 1
        if max(a.begin, a.end) > span // 2:
            raise ValueError(
                f"padding must be at most half of the kernel, got {max(a.begin, a.end)} "
                f"for a kernel of {a.kernel} that spans {span} pixels"
            )
    return axes


def _max_and_winner(x, axes):
    """Maximum of each window, and the index in _taps(axes) of the tap that holds it (-1: none)."""
    padded = _pad(x, axes)
    image = _pad(np.ones((1, *x.shape[1:3], 1), bool), axes)
    shape = (x.shape[0], axes[0].out, axes[1].out, x.shape[3])
    best = np.full(shape, -np.inf, x.dtype)
    winner = np.full(shape, -1)
    for index, (u, v) in enumerate(_taps(axes)):
        value = _tap(padded, axes, u, v)
        first_nan = np.isnan(value) & ~np.isnan(best)
        wins = _tap(image, axes, u, v) & ((winner < 0) | (value > best) | first_nan)
        best = np.where(wins, value, best)
        winner = np.where(wins, index, winner)
    return best, winner


def max_pool2d(x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Largest value of each window, padding left out; a NaN in the window wins.

        y[n,i,j,c] = max_{u,v} x[n, i·sh-top+u·dh, j·sw-left+v·dw, c]

    stride defaults to kernel_size. ceil_mode rounds the output size up, but the last window must
    start inside the image or the padding before it.
    """
    axes = _pool_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_and_winner(x, axes)[0]


def max_pool2d_backward(dy, x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Gradient of Σ dy·max_pool2d(x): each dy goes to one pixel, the one that won its window.

        dx[p] = Σ dy[i] over the windows i whose maximum is x[p]

    Among equals, and among NaNs, the first in row-major order of the window wins.
    """
    axes = _pool_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    _, winner = _max_and_winner(x, axes)
    padded = _padded_zeros(x.shape, axes, dy.dtype)
    for index, (u, v) in enumerate(_taps(axes)):
        target = _tap(padded, axes, u, v)
        target += np.where(winner == index, dy, 0)
    return _crop(padded, axes)


def _window_sizes(axes, count_include_pad):
    """Divisor of each window, shape (OH, OW, 1).

    Counts the pixels inside the image, or with count_include_pad inside the padded image: what a
    window of ceil_mode reaches beyond the padding is never counted.
    """
    counts = []
    for a in axes:
        start = np.arange(a.out) * a.stride - a.begin
        if count_include_pad:
            counts.append(np.minimum(start + a.kernel, a.n + a.end) - start)
        else:
            counts.append(np.minimum(start + a.kernel, a.n) - np.maximum(start, 0))
    return np.multiply.outer(*counts)[:, :, None]


def avg_pool2d(x, kernel_size, *, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Mean of each window.

        y[n,i,j,c] = Σ_{u,v} x[n, i·sh-top+u, j·sw-left+v, c] / count[i,j]

    count is the number of pixels of the window inside the padded image, or inside the image when
    count_include_pad is False.
    """
    axes = _pool_geometry(x.shape, kernel_size, stride, padding, 1, ceil_mode)
    padded = _pad(x, axes)
    total = sum(_tap(padded, axes, u, v) for u, v in _taps(axes))
    return total / _window_sizes(axes, count_include_pad).astype(x.dtype)


def avg_pool2d_backward(
    dy, x_shape, kernel_size, *, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    """Gradient of Σ dy·avg_pool2d(x).

    dx[p] = Σ dy[i] / count[i] over the windows i that contain p
    """
    axes = _pool_geometry(x_shape, kernel_size, stride, padding, 1, ceil_mode)
    share = dy / _window_sizes(axes, count_include_pad).astype(dy.dtype)
    padded = _padded_zeros(x_shape, axes, dy.dtype)
    for u, v in _taps(axes):
        target = _tap(padded, axes, u, v)
        target += share
    return _crop(padded, axes)


def global_avg_pool2d(x):
    """y[n,c] = Σ_{h,w} x[n,h,w,c] / (H·W), shape (N,C)."""
    return x.mean(axis=(1, 2))


def global_avg_pool2d_backward(dy, x_shape):
    """Gradient of Σ dy·global_avg_pool2d(x): dx[n,h,w,c] = dy[n,c] / (H·W)."""
    _, h, w, _ = x_shape
    return np.broadcast_to((dy / (h * w))[:, None, None, :], x_shape).copy()


def add(a, b):
    """y = a + b, arrays of one shape; the gradient of either is dy."""
    return a + b


def _shifted(z, axis):
    """z - max z, with 0 at the maximum and NaN throughout where the maximum is not finite."""
    if z.shape[axis] == 0:
        raise ValueError(f"axis {axis} of the logits {z.shape} has no classes")
    with np.errstate(over="ignore", invalid="ignore"):
        return z - z.max(axis=axis, keepdims=True)


def softmax(x, *, axis=-1):
    """Probabilities from logits: y_i = e^{x_i - m} / Σ_k e^{x_k - m}, m = max x."""
    e = np.exp(_shifted(x, axis))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_backward(dy, y, *, axis=-1):
    """Gradient of Σ dy·softmax(x) from y = softmax(x): the Jacobian y_i (δ_ij - y_j) times dy."""
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


def log_softmax(x, *, axis=-1):
    """Logarithm of the probabilities, accurate also where one of them is almost 1.

    y_i = (x_i - m) - log1p(Σ_{k ≠ argmax} e^{x_k - m}),  m = max x
    """
    z = _shifted(x, axis)
    terms = np.exp(z)
    top = np.expand_dims(x.argmax(axis=axis), axis)
    top_term = np.take_along_axis(terms, top, axis)
    np.put_along_axis(terms, top, top_term - 1, axis)  # 0, or NaN where the maximum is not finite
    return z - np.log1p(terms.sum(axis=axis, keepdims=True))


def log_softmax_backward(dy, y, *, axis=-1):
    """Gradient of Σ dy·log_softmax(x) from y = log_softmax(x): dx_j = dy_j - e^{y_j} Σ_i dy_i."""
    return dy - np.exp(y) * dy.sum(axis=axis, keepdims=True)


def softmax_cross_entropy(logits, target, *, axis=-1, reduction="mean"):
    """Cross-entropy of softmax(logits) and its gradient: (loss, dlogits).

        loss_n = -Σ_c q_nc log p_nc,  dloss_n/dz_nc = (Σ_k q_nk) p_nc - q_nc,  p = softmax(z)

    target holds class numbers (integers, the shape of the logits without axis; q is one-hot) or
    soft targets q (floats, the shape of the logits). "mean" divides the sum of loss_n by the number
    of rows, and is 0 without rows; "mean" and "sum" return a float, "none" the array loss_n. The
    gradient is that of the sum of what is returned. A class with q = 0 adds nothing, whatever its
    logit.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    log_p = log_softmax(logits, axis=axis)
    if target.dtype.kind in "iu":
        losses, dlogits = _cross_entropy_of_labels(log_p, target, axis)
    elif target.dtype.kind == "f":
        if target.shape != logits.shape:
            raise ValueError(f"soft targets {target.shape} must have shape {logits.shape}")
        q = target.astype(logits.dtype)
        products = np.multiply(q, log_p, out=np.zeros_like(log_p), where=q != 0)
        losses = -products.sum(axis=axis)
        dlogits = q.sum(axis=axis, keepdims=True) * np.exp(log_p) - q
    else:
        raise TypeError(f"target must be integers or floats, got {target.dtype}")
    if reduction == "none":
        return losses, dlogits
    count = max(losses.size, 1) if reduction == "mean" else 1
    return float(losses.sum(dtype=np.float64)) / count, dlogits / count


def _cross_entropy_of_labels(log_p, labels, axis):
    """Losses -log p_y and p - onehot(y), with p_y - 1 as expm1(log p_y)."""
    rows = tuple(np.delete(log_p.shape, axis).tolist())
    if labels.shape != rows:
        raise ValueError(f"labels {labels.shape} must have the shape {rows}")
    classes = log_p.shape[axis]
    wrong = np.argwhere((labels < 0) | (labels >= classes))
    if len(wrong):
        index = tuple(wrong[0].tolist())
        raise ValueError(f"label {labels[index]} at {index} is outside 0 ... {classes - 1}")
    at_label = np.expand_dims(labels.astype(np.intp), axis)
    log_p_label = np.take_along_axis(log_p, at_label, axis)
    dlogits = np.exp(log_p)
    np.put_along_axis(dlogits, at_label, np.expm1(log_p_label), axis)
    return -log_p_label.squeeze(axis), dlogits


def _quotient(a, b):
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def sgd_step(
    w,
    g,
    velocity=None,
    *,
    lr,
    momentum=0.0,
    dampening=0.0,
    nesterov=False,
    l2=0.0,
    weight_decay=0.0,
):
    """One step of gradient descent: new (w, velocity); velocity is None before the first step.

        g ← g + l2·w;  w ← (1 - lr·weight_decay) w
        v ← g at the first step, then μ v + (1 - τ) g;  w ← w - lr·(g + μ v if nesterov else v)

    μ is the momentum and τ the dampening, which counts only where μ is not 0.
    """
    g = g + l2 * w
    w = (1 - lr * weight_decay) * w
    gain = 1 - dampening if momentum else 1
    velocity = g if velocity is None else momentum * velocity + gain * g
    direction = g + momentum * velocity if nesterov else velocity
    return w - lr * direction, velocity


def adam_step(
    w,
    g,
    m,
    v,
    products=(1.0, 1.0),
    *,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    eps_mode="paper",
    v_max=None,
    l2=0.0,
):
    """One step of Adam: new (w, m, v, products), and v_max when it is given (AMSGrad).

        g ← g + l2·w
        m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;  Πᵢ ← βᵢ Πᵢ
        w ← w - lr·(m/(1 - Π₁)) / (√(v/(1 - Π₂)) + ε)

    m and v start at 0 and the products Π of the betas at 1, so varying betas are corrected exactly.
    AMSGrad keeps v_max ← max(v_max, v) and divides by it in place of v. eps_mode "hat" adds ε to √v
    before the correction. Where the denominator is 0 the update is 0.
    """
    if eps_mode not in ("paper", "hat"):
        raise ValueError(f"eps_mode must be 'paper' or 'hat', got {eps_mode!r}")
    g = g + l2 * w
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * np.square(g)
    products = (products[0] * betas[0], products[1] * betas[1])
    second = v if v_max is None else np.maximum(v_max, v)
    correction = (1 - products[1]) ** 0.5
    if eps_mode == "paper":
        denominator = np.sqrt(second) / correction + eps
    else:
        denominator = (np.sqrt(second) + eps) / correction
    w = w - lr * _quotient(m / (1 - products[0]), denominator)
    return (w, m, v, products) if v_max is None else (w, m, v, products, second)


def adagrad_step(w, g, total, *, lr=1e-2, eps=1e-10, l2=0.0):
    """One step of AdaGrad: new (w, total); lr is what the decay has left of it at this step.

        g ← g + l2·w;  s ← s + g²;  w ← w - lr·g / (√s + ε)

    s is the running total, at first the initial accumulator. Where the denominator is 0 the update
    is 0.
    """
    g = g + l2 * w
    total = total + np.square(g)
    return w - lr * _quotient(g, np.sqrt(total) + eps), total
