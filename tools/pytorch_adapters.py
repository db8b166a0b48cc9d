"""PyTorch's functions answered by convlet: what tools/pytorch_samples.py compares.

Each function in ADAPTERS has the arguments of a PyTorch function, arrays in PyTorch's layout, and
returns (y, pullback); pullback takes dy to the gradients by the names of the arguments, None where
convlet offers none. MODULES says which of them a module is.
"""

from __future__ import annotations

import numpy as np

from convlet import losses, ops


class OutOfScopeError(Exception):
    """The sample asks for what convlet has no name for, or refuses by design."""


# ---------------------------------------------------------------- layouts


def last(x):
    """Return (N, C, ...) as (N, ..., C)."""
    return np.moveaxis(x, 1, -1) if x.ndim > 1 else x


def first(x):
    """Return (N, ..., C) as (N, C, ...)."""
    return np.moveaxis(x, -1, 1) if x.ndim > 1 else x


def turned(w, order):
    """Return weights with their axes in this order; a wrong rank is convlet's to refuse."""
    return w.transpose(order) if w.ndim == len(order) else w


def batched(x, axes):
    """Return x with a batch axis if it lacks just that, and what takes it away again."""
    if x.ndim == axes - 1:
        return x[np.newaxis], lambda y: y[0]
    return x, lambda y: y


def size(option):
    """Return a size of one or two numbers as convlet takes it."""
    if isinstance(option, (tuple, list)):
        return option[0] if len(option) == 1 else tuple(option)
    return option


# ---------------------------------------------------------------- convolution and linear


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolve."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _conv("conv2d", (2, 3, 1, 0), (3, 2, 0, 1), input, weight, bias, options)


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolve sequences."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _conv("conv1d", (2, 1, 0), (2, 1, 0), input, weight, bias, options)


def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Convolve, transposed; PyTorch's weights are (C, OC/groups, KH, KW)."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    options["output_padding"] = output_padding
    return _conv("conv_transpose2d", (2, 3, 1, 0), (3, 2, 0, 1), input, weight, bias, options)


def _conv(name, there, back, input, weight, bias, options):
    forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    options = {key: size(option) for key, option in options.items()}
    input, unbatch = batched(input, len(there))
    x, w = last(input), turned(weight, there)
    y = forward(x, w, bias, **options)

    def pullback(dy):
        dx, dw, db = backward(last(batched(dy, len(there))[0]), x, w, **options)
        return {"input": unbatch(first(dx)), "weight": turned(dw, back), "bias": db}

    return unbatch(first(y)), pullback


def linear(input, weight, bias=None):
    """Multiply by a matrix."""
    w = weight.T
    y = ops.linear(input, w, bias)

    def pullback(dy):
        dx, dw, db = ops.linear_backward(dy, input, w)
        return {"input": dx, "weight": dw.T, "bias": db}

    return y, pullback


# ---------------------------------------------------------------- norms


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """Normalise channels; the running statistics that move are the layer's, not this function's."""
    if input.ndim < 2:
        raise OutOfScopeError("batch norm of an array without a channel axis")
    if training and input.size == 0:
        raise OutOfScopeError("batch statistics of no values, an error here")
    if eps == 0:
        raise OutOfScopeError("an epsilon of 0, which convlet takes")
    x, channels = last(input), input.shape[1]
    gamma = np.ones(channels) if weight is None else weight
    beta = np.zeros(channels) if bias is None else bias
    if training:
        y, mean, var = ops.batch_norm(x, gamma, beta, eps=eps)
    else:
        mean, var = running_mean, running_var
        y = ops.batch_norm_inference(x, gamma, beta, mean, var, eps=eps)

    def pullback(dy):
        frozen = not training
        dx, dgamma, dbeta = ops.batch_norm_backward(
            last(dy), x, gamma, mean, var, eps=eps, frozen=frozen
        )
        return {"input": first(dx), "weight": dgamma, "bias": dbeta}

    return first(y), pullback


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalise groups of channels."""
    _check_epsilon(eps)
    x = last(input)
    y, mean, var = ops.group_norm(x, weight, bias, groups=num_groups, eps=eps)

    def pullback(dy):
        dx, dgamma, dbeta = ops.group_norm_backward(last(dy), x, weight, mean, var, eps=eps)
        return {"input": first(dx), "weight": dgamma, "bias": dbeta}

    return first(y), pullback


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
    images=False,
):
    """Normalise channels of samples; with three axes `images` lack a batch, sequences do not."""
    _check_epsilon(eps)
    if not use_input_stats:
        raise OutOfScopeError("instance norm with running statistics")
    x, unbatch = batched(input, 4) if images else (input, lambda y: y)
    x = last(x)
    y, mean, var = ops.instance_norm(x, weight, bias, eps=eps)

    def pullback(dy):
        dy = last(dy.reshape(first(x).shape))
        dx, dgamma, dbeta = ops.instance_norm_backward(dy, x, weight, mean, var, eps=eps)
        return {"input": unbatch(first(dx)), "weight": dgamma, "bias": dbeta}

    return unbatch(first(y)), pullback


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Normalise trailing axes."""
    _check_epsilon(eps)
    shape = tuple(normalized_shape)
    x, unbatch = batched(input, len(shape) + 1)
    y, mean, var = ops.layer_norm(x, weight, bias, normalized_shape=shape, eps=eps)

    def pullback(dy):
        dx, dgamma, dbeta = ops.layer_norm_backward(
            dy.reshape(x.shape), x, weight, mean, var, eps=eps
        )
        return {"input": unbatch(dx), "weight": dgamma, "bias": dbeta}

    return unbatch(y), pullback


def _check_epsilon(eps):
    if eps < 0:
        raise OutOfScopeError("a negative epsilon, an error here")


# ---------------------------------------------------------------- pooling


def max_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """Take maxima; the indices that PyTorch may return as well are left out."""
    options = {"stride": _stride(stride), "padding": size(padding), "dilation": size(dilation)}
    x, unbatch = batched(input, 4)
    x, options = last(x), options | {"ceil_mode": ceil_mode}
    y = ops.max_pool2d(x, size(kernel_size), **options)

    def pullback(dy):
        dy, _ = batched(dy, 4)
        dx = ops.max_pool2d_backward(last(dy), x, size(kernel_size), **options)
        return {"input": unbatch(first(dx))}

    return unbatch(first(y)), pullback


def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """Take means."""
    if divisor_override is not None:
        raise OutOfScopeError("divisor_override")
    options = {"stride": _stride(stride), "padding": size(padding), "ceil_mode": ceil_mode}
    x, unbatch = batched(input, 4)
    x, options = last(x), options | {"count_include_pad": count_include_pad}
    y = ops.avg_pool2d(x, size(kernel_size), **options)

    def pullback(dy):
        dy, _ = batched(dy, 4)
        dx = ops.avg_pool2d_backward(last(dy), x.shape, size(kernel_size), **options)
        return {"input": unbatch(first(dx))}

    return unbatch(first(y)), pullback


def _stride(stride):
    return None if stride in (None, ()) else size(stride)


def adaptive_avg_pool2d(input, output_size):
    """Take means of bins."""
    x, unbatch = batched(input, 4)
    x = last(x)
    y = ops.adaptive_avg_pool2d(x, output_size)

    def pullback(dy):
        dy, _ = batched(dy, 4)
        dx = ops.adaptive_avg_pool2d_backward(last(dy), x.shape, output_size)
        return {"input": unbatch(first(dx))}

    return unbatch(first(y)), pullback


def pad(input, pad, mode="constant", value=None):
    """Put images inside a margin."""
    if input.ndim not in (3, 4) or len(pad) not in (2, 4) or (input.ndim == 3 and len(pad) == 2):
        raise OutOfScopeError("padding of what is no batch of images")
    if min(pad) < 0:
        raise OutOfScopeError("negative padding")
    if input.shape[-3] == 0:
        raise OutOfScopeError("images without channels, an error here")
    left, right, top, bottom = (*pad, 0, 0)[:4]
    padding = ((top, bottom), (left, right))
    mode = "zeros" if mode == "constant" else mode
    x, unbatch = batched(input, 4)
    x = last(x)
    y = ops.pad2d(x, padding, mode=mode, value=value or 0)

    def pullback(dy):
        dx = ops.pad2d_backward(last(batched(dy, 4)[0]), x.shape, padding, mode=mode)
        return {"input": unbatch(first(dx))}

    return unbatch(first(y)), pullback


# ---------------------------------------------------------------- activations


def _elementwise(name, of_y, **renamed):
    """Make the adapter of an activation, whose options convlet calls `renamed`."""

    def adapter(input, inplace=False, **options):
        options = {renamed[key]: option for key, option in options.items()}
        forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
        y = forward(input, **options)
        return y, lambda dy: {"input": backward(dy, y if of_y else input, **options)}

    return adapter


def softplus(input, beta=1, threshold=20):
    """Smooth a ReLU."""
    if beta != 1:
        raise OutOfScopeError("softplus with a beta")
    if np.any(input > threshold):
        raise OutOfScopeError("softplus beyond the threshold where PyTorch returns x itself")
    return _elementwise("softplus", False)(input)


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Exponentials that sum to 1."""
    return _over_axis(ops.softmax, ops.softmax_backward, input, dim)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Their logarithm."""
    return _over_axis(ops.log_softmax, ops.log_softmax_backward, input, dim)


def _over_axis(forward, backward, x, axis):
    if x.ndim == 0 or x.shape[axis] == 0:
        raise OutOfScopeError("softmax of a single number or without classes, an error here")
    y = forward(x, axis=axis)
    return y, lambda dy: {"input": backward(dy, y, axis=axis)}


# ---------------------------------------------------------------- losses


def cross_entropy(
    input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
):
    """Cross-entropy from logits; classes are on axis 1, or the only one."""
    labelled = target.dtype.kind in "iu"
    result = losses.softmax_cross_entropy(
        input,
        target,
        axis=min(1, input.ndim - 1),
        class_weight=weight,
        ignore_index=ignore_index if labelled or ignore_index != -100 else None,
        label_smoothing=label_smoothing,
        reduction=reduction,
        empty="nan",
    )
    return _loss(result, axis=min(1, input.ndim - 1))


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """Likelihood of labels."""
    result = losses.nll(
        input,
        target,
        axis=min(1, input.ndim - 1),
        class_weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        empty="nan",
    )
    return _loss(result, axis=min(1, input.ndim - 1))


def mse_loss(input, target, reduction="mean"):
    """Squared error."""
    return _loss(losses.mse(input, target, reduction=reduction))


def l1_loss(input, target, reduction="mean"):
    """Absolute error."""
    return _loss(losses.l1(input, target, reduction=reduction))


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """Absolute error, smooth at 0."""
    return _loss(losses.smooth_l1(input, target, beta=beta, reduction=reduction))


def huber_loss(input, target, reduction="mean", delta=1.0):
    """Huber's loss."""
    return _loss(losses.huber(input, target, delta=delta, reduction=reduction))


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """Cross-entropy of two classes."""
    result = losses.binary_cross_entropy_with_logits(
        input, target, pos_weight=pos_weight, sample_weight=weight, reduction=reduction
    )
    return _loss(result)


def _loss(result, axis=None):
    """Answer for a loss; its gradient is that of the sum, and each row has an upstream of its own.

    Classes are on `axis`. Targets and weights have no gradient in convlet.
    """
    loss, gradient = result
    loss = np.asarray(loss)

    def pullback(dy):
        rows = np.expand_dims(dy, axis) if axis is not None and loss.ndim else dy
        none = dict.fromkeys(("target", "weight", "pos_weight"))
        return {"input": rows * gradient} | none

    return loss, pullback


ADAPTERS = {
    "conv2d": conv2d,
    "conv1d": conv1d,
    "conv_transpose2d": conv_transpose2d,
    "linear": linear,
    "batch_norm": batch_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "pad": pad,
    "relu": _elementwise("relu", True),
    "leaky_relu": _elementwise("leaky_relu", True, negative_slope="slope"),
    "relu6": _elementwise("relu6", True),
    "sigmoid": _elementwise("sigmoid", True),
    "tanh": _elementwise("tanh", True),
    "elu": _elementwise("elu", True, alpha="alpha"),
    "gelu": _elementwise("gelu", False, approximate="approximate"),
    "silu": _elementwise("silu", False),
    "hardswish": _elementwise("hard_swish", False),
    "softplus": softplus,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "cross_entropy": cross_entropy,
    "nll_loss": nll_loss,
    "mse_loss": mse_loss,
    "l1_loss": l1_loss,
    "smooth_l1_loss": smooth_l1_loss,
    "huber_loss": huber_loss,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
}

# PyTorch's module: (the adapter, arguments that are no attributes of the module)
MODULES = {
    "Conv1d": ("conv1d", {}),
    "Conv2d": ("conv2d", {}),
    "ConvTranspose2d": ("conv_transpose2d", {}),
    "Linear": ("linear", {}),
    "BatchNorm1d": ("batch_norm", {}),
    "BatchNorm2d": ("batch_norm", {}),
    "GroupNorm": ("group_norm", {}),
    "InstanceNorm2d": ("instance_norm", {"images": True}),
    "LayerNorm": ("layer_norm", {}),
    "MaxPool2d": ("max_pool2d", {}),
    "AvgPool2d": ("avg_pool2d", {}),
    "AdaptiveAvgPool2d": ("adaptive_avg_pool2d", {}),
    "ZeroPad2d": ("pad", {}),
    "ConstantPad2d": ("pad", {}),
    "ReflectionPad2d": ("pad", {"mode": "reflect"}),
    "ReplicationPad2d": ("pad", {"mode": "replicate"}),
    "CircularPad2d": ("pad", {"mode": "circular"}),
    "ReLU": ("relu", {}),
    "LeakyReLU": ("leaky_relu", {}),
    "ReLU6": ("relu6", {}),
    "Sigmoid": ("sigmoid", {}),
    "Tanh": ("tanh", {}),
    "ELU": ("elu", {}),
    "GELU": ("gelu", {}),
    "SiLU": ("silu", {}),
    "Hardswish": ("hardswish", {}),
    "Softplus": ("softplus", {}),
    "Softmax": ("softmax", {}),
    "Softmax2d": ("softmax", {"dim": -3}),
    "LogSoftmax": ("log_softmax", {}),
    "CrossEntropyLoss": ("cross_entropy", {}),
    "NLLLoss": ("nll_loss", {}),
    "MSELoss": ("mse_loss", {}),
    "L1Loss": ("l1_loss", {}),
    "SmoothL1Loss": ("smooth_l1_loss", {}),
    "HuberLoss": ("huber_loss", {}),
    "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", {}),
}
