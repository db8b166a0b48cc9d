"""What holds for every function of the reference: dtypes are kept, inputs survive."""

import numpy as np
import pytest

from convlet import reference as ref


def every_call(a):
    """A call of every function on arrays made by a(shape)."""
    image, kernel, vector, rows = a((2, 4, 4, 4)), a((3, 3, 2, 4)), a((4,)), a((3, 4))
    pooled = a((2, 2, 2, 4))
    labels = np.array([0, 3, 1])
    labels.flags.writeable = False
    options = {"activation": "relu", "residual": True}
    return {
        "conv2d": lambda: ref.conv2d(image, kernel, vector, groups=2),
        "conv2d_backward": lambda: ref.conv2d_backward(pooled, image, kernel, groups=2),
        "conv1d": lambda: ref.conv1d(rows[None], kernel[0], vector, padding=1, groups=2),
        "conv1d_backward": lambda: ref.conv1d_backward(
            rows[None], rows[None], kernel[0], padding=1, groups=2
        ),
        "conv_transpose2d": lambda: ref.conv_transpose2d(image, kernel, vector, groups=2),
        "conv_transpose2d without bias": lambda: ref.conv_transpose2d(image, kernel, groups=2),
        "conv_transpose2d_backward": lambda: ref.conv_transpose2d_backward(
            image, pooled, kernel, groups=2
        ),
        "pad2d": lambda: ref.pad2d(image, 0),
        "pad2d_backward": lambda: ref.pad2d_backward(image, pooled.shape, 1, mode="reflect"),
        "upsample2d": lambda: ref.upsample2d(image, 2, mode="bilinear"),
        "upsample2d_backward": lambda: ref.upsample2d_backward(image, pooled.shape, 2),
        "adaptive_avg_pool2d": lambda: ref.adaptive_avg_pool2d(image, 4),
        "adaptive_avg_pool2d_backward": lambda: ref.adaptive_avg_pool2d_backward(
            pooled, image.shape, 2
        ),
        "dropout": lambda: ref.dropout(image, 0.0, seed=1),
        "dropout_backward": lambda: ref.dropout_backward(image, 0.5, seed=1, per_channel=True),
        "linear": lambda: ref.linear(rows, a((4, 4)), vector),
        "linear_backward": lambda: ref.linear_backward(rows, rows, a((4, 4))),
        "relu": lambda: ref.relu(image),
        "relu_backward": lambda: ref.relu_backward(image, image),
        "leaky_relu": lambda: ref.leaky_relu(image),
        "leaky_relu_backward": lambda: ref.leaky_relu_backward(image, image),
        "relu6": lambda: ref.relu6(image),
        "relu6_backward": lambda: ref.relu6_backward(image, image),
        "sigmoid": lambda: ref.sigmoid(image),
        "sigmoid_backward": lambda: ref.sigmoid_backward(image, image),
        "tanh": lambda: ref.tanh(image),
        "tanh_backward": lambda: ref.tanh_backward(image, image),
        "elu": lambda: ref.elu(image),
        "elu_backward": lambda: ref.elu_backward(image, image),
        "gelu": lambda: ref.gelu(image),
        "gelu_backward": lambda: ref.gelu_backward(image, image),
        "silu": lambda: ref.silu(image),
        "silu_backward": lambda: ref.silu_backward(image, image),
        "hard_swish": lambda: ref.hard_swish(image),
        "hard_swish_backward": lambda: ref.hard_swish_backward(image, image),
        "softplus": lambda: ref.softplus(image),
        "softplus_backward": lambda: ref.softplus_backward(image, image),
        "gelu by tanh": lambda: ref.gelu(image, approximate="tanh"),
        "gelu_backward by tanh": lambda: ref.gelu_backward(image, image, approximate="tanh"),
        "batch_norm": lambda: ref.batch_norm(
            image, vector, vector, residual=image, activation="relu"
        ),
        "batch_norm_inference": lambda: ref.batch_norm_inference(
            image, vector, vector, vector, a((4,))
        ),
        "batch_norm_backward": lambda: ref.batch_norm_backward(
            image, image, vector, vector, a((4,)), y=image, **options
        ),
        "batch_norm_backward without activation": lambda: ref.batch_norm_backward(
            image, image, vector, vector, a((4,)), residual=True
        ),
        "group_norm": lambda: ref.group_norm(image, vector, vector, groups=2),
        "group_norm_backward": lambda: ref.group_norm_backward(
            image, image, vector, a((2, 2)), a((2, 2))
        ),
        "instance_norm": lambda: ref.instance_norm(image, vector, vector),
        "instance_norm_backward": lambda: ref.instance_norm_backward(
            image, image, vector, a((2, 4)), a((2, 4))
        ),
        "layer_norm": lambda: ref.layer_norm(image, vector, vector),
        "layer_norm_backward": lambda: ref.layer_norm_backward(
            image, image, vector, a((2, 4, 4)), a((2, 4, 4))
        ),
        "max_pool2d": lambda: ref.max_pool2d(image, 2),
        "max_pool2d_backward": lambda: ref.max_pool2d_backward(pooled, image, 2),
        "avg_pool2d": lambda: ref.avg_pool2d(image, 2),
        "avg_pool2d_backward": lambda: ref.avg_pool2d_backward(pooled, image.shape, 2),
        "global_avg_pool2d": lambda: ref.global_avg_pool2d(image),
        "global_avg_pool2d_backward": lambda: ref.global_avg_pool2d_backward(rows, (3, 2, 2, 4)),
        "global_max_pool2d": lambda: ref.global_max_pool2d(image),
        "global_max_pool2d_backward": lambda: ref.global_max_pool2d_backward(rows[:2], image),
        "max_pool1d": lambda: ref.max_pool1d(rows[None], 2, stride=1),
        "max_pool1d_backward": lambda: ref.max_pool1d_backward(rows[None], rows[None], 1),
        "avg_pool1d": lambda: ref.avg_pool1d(rows[None], 2, padding="same"),
        "avg_pool1d_backward": lambda: ref.avg_pool1d_backward(rows[None], (1, 6, 4), 2),
        "global_avg_pool1d": lambda: ref.global_avg_pool1d(image[0]),
        "global_avg_pool1d_backward": lambda: ref.global_avg_pool1d_backward(rows, (3, 5, 4)),
        "global_max_pool1d": lambda: ref.global_max_pool1d(image[0]),
        "global_max_pool1d_backward": lambda: ref.global_max_pool1d_backward(rows, image[0, :3]),
        "add": lambda: ref.add(image, image),
        "concat": lambda: ref.concat(image, image),
        "concat_backward": lambda: ref.concat_backward(image, (1, 3)),
        "pad_shortcut": lambda: ref.pad_shortcut(image, 6, 2),
        "pad_shortcut_backward": lambda: ref.pad_shortcut_backward(image, (2, 8, 8, 2), 2),
        "softmax": lambda: ref.softmax(rows),
        "softmax_backward": lambda: ref.softmax_backward(rows, rows),
        "log_softmax": lambda: ref.log_softmax(rows),
        "log_softmax_backward": lambda: ref.log_softmax_backward(rows, rows),
        "softmax_cross_entropy": lambda: ref.softmax_cross_entropy(rows, labels, reduction="none"),
        "softmax_cross_entropy of soft targets": lambda: ref.softmax_cross_entropy(
            rows, rows, reduction="none"
        ),
        "nll": lambda: ref.nll(rows, labels, reduction="none"),
        "mse": lambda: ref.mse(rows, rows, reduction="none"),
        "l1": lambda: ref.l1(rows, rows, reduction="none"),
        "huber": lambda: ref.huber(rows, rows, reduction="none"),
        "smooth_l1": lambda: ref.smooth_l1(rows, rows, beta=0.5, reduction="none"),
        "binary_cross_entropy_with_logits": lambda: ref.binary_cross_entropy_with_logits(
            rows, rows, pos_weight=rows, sample_weight=rows, reduction="none"
        ),
        "focal": lambda: ref.focal(rows, rows, reduction="none"),
        "sgd_step": lambda: ref.sgd_step(rows, rows, rows, lr=0.1, momentum=0.9, l2=0.1),
        "adam_step": lambda: ref.adam_step(rows, rows, rows, rows)[:3],
        "adagrad_step": lambda: ref.adagrad_step(rows, rows, rows),
        "adamw_step": lambda: ref.adamw_step(rows, rows, rows, rows)[:3],
        "nadam_step": lambda: ref.nadam_step(rows, rows, rows, rows, t=1)[:3],
        "rmsprop_step": lambda: ref.rmsprop_step(rows, rows, image[0, 0, :3] + 1, rows, rows),
        "lion_step": lambda: ref.lion_step(rows, rows, rows),
        "clip_grad_norm": lambda: tuple(ref.clip_grad_norm([rows, image], 0.5)[0]),
        "ema_step": lambda: ref.ema_step(rows, rows, decay=0.9),
    }


CALLS = sorted(every_call(np.ones))


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept_and_outputs_are_new(name, dtype):
    """Read-only inputs suffice, every output has their dtype, and none shares their memory."""
    arrays = []

    def positive(shape):
        array = np.random.default_rng(len(arrays)).uniform(0.1, 1, shape).astype(dtype)
        array.flags.writeable = False
        arrays.append(array)
        return array

    outputs = as_tuple(every_call(positive)[name]())

    assert {output.dtype for output in outputs} == {np.dtype(dtype)}
    assert not any(np.shares_memory(o, a) for o in outputs for a in arrays)


def test_every_public_function_is_called():
    """The table above covers all public functions of the module."""
    public = {n for n, f in vars(ref).items() if callable(f) and not n.startswith("_")}
    called = {name.split(" ")[0] for name in CALLS}

    assert public - called == {"conv2d_output_shape"}
