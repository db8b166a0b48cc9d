"""Golden vectors: what PyTorch computes from inputs that are made here, the same on both sides.

`tools/make_golden.py` writes tests/data/golden/<topic>.npz with PyTorch, and where the rule is
theirs `tools/make_golden_keras.py` writes keras_<topic>.npz with Keras and JAX; the tests named
test_golden*.py hold convlet to them. Only outputs are stored. Inputs come from PCG64's raw stream,
which NumPy promises never to change (unlike its distributions, NEP 19), seeded by their names.
Arrays have convlet's layout, channels last, in the files too.
"""

import itertools
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest

from cases import CONV_CASES

FOLDER = Path(__file__).parent / "data" / "golden"


# ---------------------------------------------------------------- inputs


def raw(name, size):
    """Return 64 random bits for each of `size` numbers, a function of the name alone."""
    return np.random.PCG64(zlib.crc32(name.encode())).random_raw(size)


def draw(name, shape, low=-2.0, high=2.0, dtype=np.float64):
    """Return read-only numbers spread evenly over [low, high)."""
    uniform = (raw(name, math.prod(shape)) >> 11) * 2.0**-53
    values = (low + (high - low) * uniform).reshape(shape).astype(dtype)
    values.flags.writeable = False
    return values


def draw_whole(name, shape, dtype=np.float64):
    """Return whole numbers from -4 to 4, of which every sum of products here is exact."""
    return np.floor(draw(name, shape, -4, 5)).astype(dtype)


def labels(name, shape, classes):
    """Return integers from 0 to classes - 1."""
    return (raw(name, math.prod(shape)) % classes).astype(np.int64).reshape(shape)


# ---------------------------------------------------------------- files


def save(topic, vectors, maker):
    """Write the arrays of a topic, {case: {name: array}}, and their maker with its version."""
    layout, values = [], []
    for case, arrays in vectors.items():
        for name, array in arrays.items():
            array = np.asarray(array, np.float64)
            layout.append([case, name, list(array.shape)])
            values.append(array.ravel())
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        FOLDER / f"{topic}.npz",
        maker=np.array(maker),
        layout=np.array(json.dumps(layout)),
        values=np.concatenate(values),
    )


def load(topic):
    """Return the arrays of a topic, {case: {name: array}}, all float64."""
    with np.load(FOLDER / f"{topic}.npz") as file:
        layout, values = json.loads(file["layout"].item()), file["values"]
    vectors, start = {}, 0
    for case, name, shape in layout:
        stop = start + math.prod(shape)
        vectors.setdefault(case, {})[name] = values[start:stop].reshape(shape)
        start = stop
    return vectors


def cases(topic):
    """Parametrize a test over the problems in a file, each with its vectors."""
    vectors = load(topic)
    return pytest.mark.parametrize(("name", "expected"), vectors.items(), ids=vectors)


def check(actual, expected, bound):
    """Hold a float64 array to its golden vector, relative to the largest number in that."""
    assert actual.dtype == np.float64
    assert actual.shape == expected.shape
    scale = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound * scale)


# ---------------------------------------------------------------- problems, in convlet's terms


def spelt(**options):
    """Return the name of a problem: its options."""
    return ", ".join(f"{name} {value}" for name, value in options.items())


def combinations(**choices):
    """Return {name: options} for every choice of every option."""
    every = (
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    )
    return {spelt(**options): options for options in every}


# Of the shared table those that PyTorch can pad and that are small enough to store.
_SMALL = [
    case
    for case in CONV_CASES
    if math.prod(case.x_shape) + math.prod(case.w_shape) + math.prod(case.y_shape) <= 800
    and (case.padding != "same" or case.stride == (1, 1))
    and case.padding != "same_lower"
]

# name: (shape of x, shape of w, options)
CONV = {case.name: (case.x_shape, case.w_shape, case.options) for case in _SMALL} | {
    name: ((1, 6, 5, 4), (3, 2, 4 // options["groups"], 4), options)
    for name, options in combinations(
        stride=(1, 2, (2, 3)), padding=(0, 1, ((2, 0), (1, 3))), dilation=(1, 2), groups=(1, 2, 4)
    ).items()
}

CONV_TRANSPOSE = {
    name: ((1, 3, 3, 4), (3, 2, 4 // options["groups"], 4), options)
    for name, options in combinations(
        stride=(1, 2, (2, 3)),
        padding=(0, 1, ((1, 0), (0, 1))),
        output_padding=(0, 1, (0, 1)),
        dilation=(1, 2),
        groups=(1, 2),
    ).items()
    if options["output_padding"] == 0 or options["stride"] != 1
}

MAX_POOL = combinations(
    kernel_size=(2, 3, (3, 2)),
    stride=(None, 1, (2, 3)),
    padding=(0, 1),
    dilation=(1, 2),
    ceil_mode=(False, True),
)
AVG_POOL = combinations(
    kernel_size=(2, 3, (3, 2)),
    stride=(None, 1, (2, 3)),
    padding=(0, 1, (1, 0)),
    ceil_mode=(False, True),
    count_include_pad=(False, True),
)


def pool_input(topic, name):
    """Return x of a pooling problem; for maxima in steps of a half, so that many are tied."""
    x = draw(f"{topic}/{name}/x", (2, 7, 6, 2))
    return np.floor(2 * x) / 2 if topic == "max_pool" else x


# name: (function, options in convlet's terms), all of one image shape
IMAGES = {
    f"{function}, {name}": (function, options)
    for function, problems in {
        "adaptive_avg_pool2d": combinations(output_size=(1, 3, (5, 2), (9, 11))),
        "upsample2d": combinations(
            scale=(1, 2, (3, 2)), mode=("nearest", "bilinear"), align_corners=(False, True)
        ),
        "pad2d": combinations(
            mode=("zeros", "reflect", "replicate", "circular"),
            padding=(1, (2, 0), ((0, 2), (3, 1))),
        ),
        "global_max_pool2d": {"ties": {}},
    }.items()
    for name, options in problems.items()
    if options.get("mode") != "nearest" or not options["align_corners"]
}


def image_input(name):
    """Return x of one of these, in steps of a half, so that maxima are tied."""
    return np.floor(2 * draw(f"images/{name}/x", (2, 5, 6, 2))) / 2


# options of BatchNorm; NORM_SHAPES are the inputs of its steps
BATCH_NORM = {
    "default": {},
    "momentum 0.3": {"momentum": 0.3},
    "momentum 0": {"momentum": 0.0},
    "momentum 1": {"momentum": 1.0},
    "cumulative average": {"momentum": None},
    "eps 0.1": {"eps": 0.1},
    "not affine": {"affine": False},
    "nothing tracked": {"track_running_stats": False},
    "nothing": {"affine": False, "track_running_stats": False},
}
NORM_SHAPES = ((4, 3, 2, 3), (3, 1, 1, 3), (5, 3), (3, 2, 4, 3))

# of two values dx is a difference of equals, so each group has at least three
GROUP_NORM = {
    spelt(groups=groups, shape=shape): (groups, shape)
    for shape in ((2, 3, 2, 6), (3, 1, 1, 6), (4, 6))
    for groups in (1, 2, 3, 6)
    if math.prod(shape[1:]) >= 3 * groups
}
INSTANCE_NORM = ((2, 3, 2, 5), (3, 1, 3, 1))
LAYER_NORM = {
    spelt(shape=shape, trailing=trailing): (shape, trailing)
    for shape, trailing in (
        ((4, 6), 1),
        ((2, 3, 2, 5), 1),
        ((2, 3, 2, 5), 2),
        ((2, 3, 2, 5), 3),
    )
}

# Cross-entropy: PyTorch has its classes on axis 1 of logits with any number of axes.
CROSS_ENTROPY_SHAPES = ((5, 4), (3, 4, 2, 2), (2, 3, 3))
IGNORED = 2
CROSS_ENTROPY = combinations(
    shape=CROSS_ENTROPY_SHAPES,
    target=("labels", "soft", "soft of any sum"),
    weights=(False, True),
    ignore=(False, True),
    smoothing=(0.0, 0.1, 1.0),
    reduction=("mean", "sum", "none"),
)
CROSS_ENTROPY = {
    name: options
    for name, options in CROSS_ENTROPY.items()
    if options["target"] == "labels" or not options["ignore"]
}


def cross_entropy_inputs(shape, target, **_):
    """Return logits, the target and class weights."""
    name = f"cross entropy/{shape}/{target}"
    classes = shape[1]
    logits = draw(f"{name}/logits", shape, -4, 4)
    weights = draw(f"{name}/weights", (classes,), 0.2, 3)
    if target == "labels":
        return logits, labels(f"{name}/labels", shape[:1] + shape[2:], classes), weights
    soft = draw(f"{name}/soft", shape, 0, 1)
    return logits, soft / soft.sum(1, keepdims=True) if target == "soft" else soft, weights


# Negative log-likelihood: as cross-entropy, with labels only.
NLL = combinations(
    shape=CROSS_ENTROPY_SHAPES,
    weights=(False, True),
    ignore=(False, True),
    reduction=("mean", "sum", "none"),
)

# Losses of each element: (function, options); the targets of the last two are from 0 to 1.
ELEMENT_LOSSES = {
    f"{function}, {name}": (function, options)
    for function, choices in {
        "mse": {},
        "l1": {},
        "huber": {"delta": (1.0, 0.3)},
        "smooth_l1": {"beta": (1.0, 0.3, 0.0)},
        "binary_cross_entropy_with_logits": {"pos_weight": (0, 1), "sample_weight": (0, 1)},
        "focal": {"alpha": (0.25, None), "gamma": (2.0, 0.5)},
    }.items()
    for name, options in combinations(**choices, reduction=("mean", "sum", "none")).items()
}
ELEMENT_SHAPE = (4, 3, 2)


def element_inputs(name):
    """Return a prediction and targets; some are equal, or apart by where a loss bends."""
    function = ELEMENT_LOSSES[name][0]
    x = np.round(4 * draw(f"losses/{name}/x", ELEMENT_SHAPE, -3, 3)) / 4
    if function in ("mse", "l1", "huber", "smooth_l1"):
        return x, np.round(4 * draw(f"losses/{name}/y", ELEMENT_SHAPE)) / 4
    return x, draw(f"losses/{name}/y", ELEMENT_SHAPE, 0, 1)


def element_weights(name):
    """Return the weights of the positive class and of the elements."""
    positive = draw(f"losses/{name}/positive", ELEMENT_SHAPE[-1:], 0.3, 3)
    return positive, draw(f"losses/{name}/weights", ELEMENT_SHAPE, 0, 2)


# Activations: (function, options); where they bend, where they saturate, and beyond.
ACTIVATIONS = {
    "relu": ("relu", {}),
    "leaky_relu": ("leaky_relu", {}),
    "leaky_relu, slope 0.3": ("leaky_relu", {"slope": 0.3}),
    "relu6": ("relu6", {}),
    "sigmoid": ("sigmoid", {}),
    "tanh": ("tanh", {}),
    "elu": ("elu", {}),
    "elu, alpha 0.5": ("elu", {"alpha": 0.5}),
    "gelu": ("gelu", {}),
    "gelu by tanh": ("gelu", {"approximate": "tanh"}),
    "silu": ("silu", {}),
    "hard_swish": ("hard_swish", {}),
    "softplus": ("softplus", {}),
}
ACTIVATION_INPUTS = np.concatenate(
    [
        np.linspace(-8, 8, 129),  # 0, ±3 and 6 among them
        np.outer((-1, 1), (1e-300, 1e-20, 1e-9, 1e-4, 15, 36, 40, 300, 720, 1e10, 1e300)).ravel(),
    ]
)
SOFTMAX = {
    spelt(shape=shape, axis=axis): (shape, axis)
    for shape, axis in (
        ((3, 5), -1),
        ((2, 3, 4), 1),
        ((4, 3), 0),
        ((2, 1), 1),
    )
}

# 100 steps of every optimizer: (PyTorch's name, its options, convlet's name, its options)
STEPS = 100
KEPT_STEPS = (1, 2, 3, 10, 100)
OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.1}, "SGD", {"lr": 0.1}),
    "sgd, l2": (
        "SGD",
        {"lr": 0.1, "weight_decay": 0.05},
        "SGD",
        {"lr": 0.1, "l2": 0.05},
    ),
    "sgd, momentum": (
        "SGD",
        {"lr": 0.1, "momentum": 0.9},
        "SGD",
        {"lr": 0.1, "momentum": 0.9},
    ),
    "sgd, dampening and l2": (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "l2": 0.01},
    ),
    "sgd, nesterov": (
        "SGD",
        {"lr": 0.1, "momentum": 0.8, "nesterov": True},
        "SGD",
        {"lr": 0.1, "momentum": 0.8, "nesterov": True},
    ),
    "adam": ("Adam", {}, "Adam", {}),
    "adam, every option": (
        "Adam",
        {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
        "Adam",
        {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "l2": 0.1},
    ),
    "adagrad": ("Adagrad", {}, "AdaGrad", {}),
    "adagrad, every option": (
        "Adagrad",
        {
            "lr": 0.1,
            "lr_decay": 0.05,
            "initial_accumulator_value": 0.5,
            "eps": 1e-3,
            "weight_decay": 0.1,
        },
        "AdaGrad",
        {"lr": 0.1, "lr_decay": 0.05, "initial_accumulator": 0.5, "eps": 1e-3, "l2": 0.1},
    ),
    "adam, amsgrad": (
        "Adam",
        {"lr": 0.02, "betas": (0.5, 0.7), "amsgrad": True},
        "Adam",
        {"lr": 0.02, "betas": (0.5, 0.7), "amsgrad": True},
    ),
    "adamw": ("AdamW", {}, "AdamW", {}),
    "adamw, every option": (
        "AdamW",
        {"lr": 0.02, "betas": (0.5, 0.7), "eps": 1e-4, "weight_decay": 0.2, "amsgrad": True},
        "AdamW",
        {"lr": 0.02, "betas": (0.5, 0.7), "eps": 1e-4, "weight_decay": 0.2, "amsgrad": True},
    ),
    "rmsprop": ("RMSprop", {}, "RMSProp", {}),
    "rmsprop, every option": (
        "RMSprop",
        {
            "lr": 0.02,
            "alpha": 0.9,
            "eps": 1e-4,
            "momentum": 0.7,
            "centered": True,
            "weight_decay": 0.1,
        },
        "RMSProp",
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-4, "momentum": 0.7, "centered": True, "l2": 0.1},
    ),
    "nadam": ("NAdam", {}, "NAdam", {}),
    "nadam, every option": (
        "NAdam",
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "momentum_decay": 0.02},
        "NAdam",
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "momentum_decay": 0.02},
    ),
}
OPTIMIZED_SHAPE = (3, 4)
SCHEDULED_LR = 0.4  # where every schedule begins, or its peak


def metric(t):
    """Return what a plateau is fed after step t: it falls, and then only wavers."""
    return float(max(1 - 0.05 * t, 0.3) + 0.05 * draw(f"schedules/metric {t}", ()))


def gradient(t, w):
    """Return the gradient of step t at w: noise around a bowl, and one coordinate always at 0."""
    g = draw(f"optimizer/gradient {t}", OPTIMIZED_SHAPE) + 0.5 * w
    g[0, 0] = 0
    return g


# Ten steps of ResNet-20 with shortcuts of zeros; SGD with momentum and l2. Where a rounding error
# turns the sign of what a ReLU meets, two float32 runs part by 1e-4 and then by 1e-3: PyTorch's
# own from its float64 run (with lr=0.02 and no momentum, in the fifth step). In this run none does.
RESNET_STEPS = 10
RESNET_BATCH = 8
RESNET_SIZE = 16
RESNET_SGD = {"lr": 0.01, "momentum": 0.5, "l2": 1e-3}


def resnet_batch(t, dtype):
    """Return images (N, H, W, 3), each brightest in the corner that its label names, and labels."""
    half = RESNET_SIZE // 2
    y = labels(f"resnet20/labels {t}", (RESNET_BATCH,), 4)
    x = draw(f"resnet20/images {t}", (RESNET_BATCH, RESNET_SIZE, RESNET_SIZE, 3)).copy()
    for image, label in zip(x, y, strict=True):
        row, column = half * (label // 2), half * (label % 2)
        image[row : row + half, column : column + half] += 1
    return x.astype(dtype), y


def resnet_start(name, shape, dtype):
    """Return where a parameter of that name and shape begins, in convlet's layout."""
    if name.endswith("gamma"):
        return draw(f"resnet20/{name}", shape, 0.5, 1.5, dtype)
    limit = 0.1 if len(shape) == 1 else math.sqrt(6 / math.prod(shape[:-1]))
    return draw(f"resnet20/{name}", shape, -limit, limit, dtype)


# ---------------------------------------------------------------- where the rule is Keras' or JAX'

# Zeros that make ceil(n / stride) outputs. 5, 6, 7 and 8 are odd and even, and leave every
# remainder by 2 and 3: (image, kernel size, options), of two channels.
KERAS_CONV = {
    f"{height}x{width}, kernel {kernel_size}, {name}": ((height, width), kernel_size, options)
    for height, width in ((5, 6), (7, 8))
    for kernel_size in (2, 3, 5)
    for name, options in combinations(
        padding=("same", "same_lower"), stride=(1, 2, 3), dilation=(1, 2)
    ).items()
}


def keras_conv_inputs(name, dtype=np.float64):
    """Return x and w of one of these."""
    (height, width), size, _ = KERAS_CONV[name]
    x = draw_whole(f"keras_conv/{name}/x", (1, height, width, 2), dtype)
    return x, draw_whole(f"keras_conv/{name}/w", (size, size, 2, 2), dtype)


# Keras makes n·stride outputs; it has no "same_lower".
KERAS_CONV_TRANSPOSE = combinations(kernel_size=(2, 3, 5), stride=(1, 2, 3), dilation=(1, 2))


def keras_conv_transpose_inputs(name, dtype=np.float64):
    """Return x and w of one of these, of two channels in and three out."""
    size = KERAS_CONV_TRANSPOSE[name]["kernel_size"]
    x = draw_whole(f"keras_conv_transpose/{name}/x", (1, 3, 4, 2), dtype)
    return x, draw_whole(f"keras_conv_transpose/{name}/w", (size, size, 3, 2), dtype)


# options of Keras' BatchNormalization, and of BatchNorm.keras
KERAS_BATCH_NORM = {
    "default": ({}, {}),
    "momentum 0.8, epsilon 0.1": (
        {"momentum": 0.8, "epsilon": 0.1},
        {"momentum": 0.8, "eps": 0.1},
    ),
    "not affine": ({"center": False, "scale": False}, {"affine": False}),
}
# the inputs of two steps of training, then of inference
KERAS_NORM_SHAPES = ((4, 3, 2, 3), (3, 1, 1, 3), (2, 2, 3, 3))

# 20 steps of Lion: (options of Keras, options of convlet)
LION_STEPS = 20
LION = {
    "default": ({"learning_rate": 1e-3}, {"lr": 1e-3}),
    "weight decay": (
        {"learning_rate": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "weight_decay": 0.1},
    ),
    "every option": (
        {"learning_rate": 0.02, "beta_1": 0.7, "beta_2": 0.8, "weight_decay": 0.3},
        {"lr": 0.02, "betas": (0.7, 0.8), "weight_decay": 0.3},
    ),
}
