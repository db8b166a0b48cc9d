"""Make the golden vectors of tests/data/golden with PyTorch.

    python tools/make_golden.py [TOPIC ...]

needs PyTorch (2.13 made the files; each holds the version of its maker), NumPy and pytest, not
convlet. The problems and their inputs are those of tests/golden.py; TOPIC is the name of a function
in TOPICS, all of them unless given.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812  # its customary name
from torch.optim import lr_scheduler as schedulers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import golden
from golden import draw

torch.use_deterministic_algorithms(True)
warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths")  # only slower
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)  # NAdam keeps a product of numbers in the default type


# ---------------------------------------------------------------- layouts


def leaf(array, *order):
    """Return an array as a tensor of PyTorch's layout that will have a gradient."""
    tensor = torch.tensor(np.transpose(array, order) if order else array)
    return tensor.requires_grad_()


def to_torch(x):
    """Return (N, H, W, C) or (N, C) as a tensor with channels on axis 1."""
    return leaf(np.moveaxis(x, -1, 1))


def to_numpy(tensor):
    """Return a tensor with channels on axis 1 as an array with channels last."""
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def spread(pair):
    """Return an option as (rows, columns)."""
    return pair if isinstance(pair, tuple) else (pair, pair)


def pull(name, y):
    """Return an upstream gradient of y, and send it back through PyTorch's graph."""
    dy = draw(name, to_numpy(y).shape)
    y.backward(torch.tensor(np.moveaxis(dy, -1, 1)))


def edges(padding):
    """Return padding as ((top, bottom), (left, right))."""
    rows, columns = spread(padding)
    return spread(rows), spread(columns)


# ---------------------------------------------------------------- convolutions


def conv():
    """Convolutions with all options: y, dx, dw, db."""
    vectors = {}
    for name, (x_shape, w_shape, options) in golden.CONV.items():
        x = to_torch(draw(f"conv/{name}/x", x_shape))
        w = leaf(draw(f"conv/{name}/w", w_shape), 3, 2, 0, 1)
        b = leaf(draw(f"conv/{name}/b", w_shape[3:]))
        padding, inner = options["padding"], x
        if not isinstance(padding, str):
            (top, bottom), (left, right) = edges(padding)
            inner, padding = F.pad(x, (left, right, top, bottom)), 0
        y = F.conv2d(inner, w, b, **options | {"padding": padding})
        pull(f"conv/{name}/dy", y)
        vectors[name] = {
            "y": to_numpy(y),
            "dx": to_numpy(x.grad),
            "dw": w.grad.permute(2, 3, 1, 0).numpy(),
            "db": b.grad.numpy(),
        }
    return vectors


def conv_transpose():
    """Transposed convolutions with all options: y, dx, dw, db."""
    vectors = {}
    for name, (x_shape, w_shape, options) in golden.CONV_TRANSPOSE.items():
        x = to_torch(draw(f"conv_transpose/{name}/x", x_shape))
        w = leaf(draw(f"conv_transpose/{name}/w", w_shape), 3, 2, 0, 1)
        b = leaf(draw(f"conv_transpose/{name}/b", (w_shape[2] * options["groups"],)))
        (top, bottom), (left, right) = edges(options["padding"])
        y = F.conv_transpose2d(x, w, b, **options | {"padding": 0})
        y = y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]
        pull(f"conv_transpose/{name}/dy", y)
        vectors[name] = {
            "y": to_numpy(y),
            "dx": to_numpy(x.grad),
            "dw": w.grad.permute(2, 3, 1, 0).numpy(),
            "db": b.grad.numpy(),
        }
    return vectors


# ---------------------------------------------------------------- pooling


def pools(topic, problems, function):
    """Return y and dx of pooling problems."""
    vectors = {}
    for name, options in problems.items():
        x = to_torch(golden.pool_input(topic, name))
        y = function(x, **options)
        pull(f"{topic}/{name}/dy", y)
        vectors[name] = {"y": to_numpy(y), "dx": to_numpy(x.grad)}
    return vectors


def max_pool():
    """Maxima of windows, of values with many ties."""
    return pools("max_pool", golden.MAX_POOL, F.max_pool2d)


def avg_pool():
    """Means of windows."""
    return pools("avg_pool", golden.AVG_POOL, F.avg_pool2d)


IMAGE_FUNCTIONS = {
    "adaptive_avg_pool2d": F.adaptive_avg_pool2d,
    "global_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 1).flatten(1),
}


def upsample2d(x, scale, mode, align_corners):
    """Upsample; PyTorch takes align_corners with the bilinear mode only."""
    if mode == "nearest":
        return F.interpolate(x, scale_factor=scale, mode=mode)
    return F.interpolate(x, scale_factor=scale, mode=mode, align_corners=align_corners)


def pad2d(x, padding, mode):
    """Pad."""
    (top, bottom), (left, right) = edges(padding)
    return F.pad(x, (left, right, top, bottom), "constant" if mode == "zeros" else mode)


def images():
    """Other functions of images: y, dx."""
    functions = IMAGE_FUNCTIONS | {"upsample2d": upsample2d, "pad2d": pad2d}
    vectors = {}
    for name, (function, options) in golden.IMAGES.items():
        x = to_torch(golden.image_input(name))
        y = functions[function](x, **options)
        pull(f"images/{name}/dy", y)
        vectors[name] = {"y": to_numpy(y), "dx": to_numpy(x.grad)}
    return vectors


# ---------------------------------------------------------------- norms


def batch_norm():
    """Batch norm: steps of training, then inference, with gradients and running statistics."""
    vectors = {}
    for name, options in golden.BATCH_NORM.items():
        layer = torch.nn.BatchNorm2d(3, **options, dtype=torch.float64)
        layer._check_input_dim = lambda x: None  # rows (N, C), too
        if layer.affine:
            layer.weight.data = torch.tensor(draw(f"batch_norm/{name}/gamma", (3,)))
            layer.bias.data = torch.tensor(draw(f"batch_norm/{name}/beta", (3,)))
        arrays = vectors[name] = {}
        for t, shape in enumerate((*golden.NORM_SHAPES, golden.NORM_SHAPES[0])):
            layer.train(t < len(golden.NORM_SHAPES))
            layer.zero_grad()
            x = to_torch(draw(f"batch_norm/{name}/x {t}", shape))
            y = layer(x)
            pull(f"batch_norm/{name}/dy {t}", y)
            arrays[f"y {t}"], arrays[f"dx {t}"] = to_numpy(y), to_numpy(x.grad)
            if layer.affine:
                arrays[f"dgamma {t}"] = layer.weight.grad.numpy().copy()
                arrays[f"dbeta {t}"] = layer.bias.grad.numpy().copy()
            if layer.track_running_stats:
                arrays[f"running_mean {t}"] = layer.running_mean.numpy().copy()
                arrays[f"running_var {t}"] = layer.running_var.numpy().copy()
    return vectors


def group_norm():
    """Group, instance and layer norm: y, dx, dgamma, dbeta."""
    vectors = {}

    def keep(name, y, x, gamma, beta, back=to_numpy):
        vectors[name] = {
            "y": back(y),
            "dx": back(x.grad),
            "dgamma": gamma.grad.numpy(),
            "dbeta": beta.grad.numpy(),
        }

    for name, (groups, shape) in golden.GROUP_NORM.items():
        x = to_torch(draw(f"group_norm/{name}/x", shape))
        gamma, beta = (leaf(draw(f"group_norm/{name}/{p}", shape[-1:])) for p in ("gamma", "beta"))
        y = F.group_norm(x, groups, gamma, beta)
        pull(f"group_norm/{name}/dy", y)
        keep(name, y, x, gamma, beta)
    for shape in golden.INSTANCE_NORM:
        name = f"instance norm of {shape}"
        x = to_torch(draw(f"group_norm/{name}/x", shape))
        gamma, beta = (leaf(draw(f"group_norm/{name}/{p}", shape[-1:])) for p in ("gamma", "beta"))
        y = F.instance_norm(x, weight=gamma, bias=beta)
        pull(f"group_norm/{name}/dy", y)
        keep(name, y, x, gamma, beta)
    for name, (shape, trailing) in golden.LAYER_NORM.items():
        x = leaf(draw(f"group_norm/{name}/x", shape))
        inner = shape[len(shape) - trailing :]
        gamma, beta = (leaf(draw(f"group_norm/{name}/{p}", inner)) for p in ("gamma", "beta"))
        y = F.layer_norm(x, inner, gamma, beta)
        y.backward(torch.tensor(draw(f"group_norm/{name}/dy", shape)))
        keep(f"layer norm, {name}", y, x, gamma, beta, lambda tensor: tensor.detach().numpy())
    return vectors


# ---------------------------------------------------------------- functions and losses


FUNCTIONS = {
    "relu": F.relu,
    "leaky_relu": lambda x, slope=0.01: F.leaky_relu(x, slope),
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "hard_swish": F.hardswish,
    "softplus": F.softplus,
}


def activations():
    """Activations and softmax: y, dx."""
    vectors = {}
    for name, (function, options) in golden.ACTIVATIONS.items():
        x = leaf(golden.ACTIVATION_INPUTS)
        y = FUNCTIONS[function](x, **options)
        y.sum().backward()
        vectors[name] = {"y": y.detach().numpy(), "dx": x.grad.numpy()}
    for name, (shape, axis) in golden.SOFTMAX.items():
        for function in (F.softmax, F.log_softmax):
            case = f"{function.__name__}, {name}"
            x = leaf(draw(f"activations/{case}/x", shape, -5, 5))
            y = function(x, dim=axis)
            y.backward(torch.tensor(draw(f"activations/{case}/dy", shape)))
            vectors[case] = {"y": y.detach().numpy(), "dx": x.grad.numpy()}
    return vectors


def cross_entropy():
    """Cross-entropy in all combinations that PyTorch defines: loss, dlogits of its sum."""
    vectors = {}
    for name, options in golden.CROSS_ENTROPY.items():
        logits, target, weights = golden.cross_entropy_inputs(**options)
        z = leaf(logits)
        loss = F.cross_entropy(
            z,
            torch.tensor(target),
            weight=torch.tensor(weights) if options["weights"] else None,
            ignore_index=golden.IGNORED if options["ignore"] else -100,
            label_smoothing=options["smoothing"],
            reduction=options["reduction"],
        )
        loss.sum().backward()
        vectors[name] = {"loss": loss.detach().numpy(), "dlogits": z.grad.numpy()}
    return vectors


def nll():
    """Negative log-likelihood: loss, gradient of its sum."""
    vectors = {}
    for name, options in golden.NLL.items():
        x, target, weights = golden.cross_entropy_inputs(options["shape"], "labels")
        x = leaf(x)
        loss = F.nll_loss(
            x,
            torch.tensor(target),
            weight=torch.tensor(weights) if options["weights"] else None,
            ignore_index=golden.IGNORED if options["ignore"] else -100,
            reduction=options["reduction"],
        )
        loss.sum().backward()
        vectors[name] = {"loss": loss.detach().numpy(), "gradient": x.grad.numpy()}
    return vectors


def focal(x, y, alpha, gamma, reduction):
    """Focal loss, as its paper defines it, through PyTorch's gradients."""
    p = torch.sigmoid(x)
    each = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    each = each * (y * (1 - p) + (1 - y) * p) ** gamma
    if alpha is not None:
        each = each * (alpha * y + (1 - alpha) * (1 - y))
    return {"mean": torch.mean, "sum": torch.sum, "none": lambda a: a}[reduction](each)


ELEMENT_FUNCTIONS = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
    "smooth_l1": F.smooth_l1_loss,
    "focal": focal,
}


def losses():
    """Losses of each element: loss, gradient of its sum."""
    vectors = {}
    for name, (function, options) in golden.ELEMENT_LOSSES.items():
        x, y = golden.element_inputs(name)
        x, y = leaf(x), torch.tensor(y)
        if function == "binary_cross_entropy_with_logits":
            positive, weights = (torch.tensor(a) for a in golden.element_weights(name))
            loss = F.binary_cross_entropy_with_logits(
                x,
                y,
                weight=weights if options["sample_weight"] else None,
                pos_weight=positive if options["pos_weight"] else None,
                reduction=options["reduction"],
            )
        else:
            loss = ELEMENT_FUNCTIONS[function](x, y, **options)
        loss.sum().backward()
        vectors[name] = {"loss": loss.detach().numpy(), "gradient": x.grad.numpy()}
    return vectors


# ---------------------------------------------------------------- training


def optimizers():
    """The weights after some of 100 steps of each optimizer."""
    vectors = {}
    for name, (kind, options, _, _) in golden.OPTIMIZERS.items():
        w = leaf(draw("optimizer/w", golden.OPTIMIZED_SHAPE))
        optimizer = getattr(torch.optim, kind)([w], **options)
        arrays = vectors[name] = {}
        for t in range(1, golden.STEPS + 1):
            w.grad = torch.tensor(golden.gradient(t, w.detach().numpy()))
            optimizer.step()
            if t in golden.KEPT_STEPS:
                arrays[f"w {t}"] = w.detach().numpy().copy()
    return vectors


def in_turn(optimizer):
    """Make a warm-up followed by an exponential."""
    first = schedulers.LinearLR(optimizer, 0.25, total_iters=15)
    then = schedulers.ExponentialLR(optimizer, 0.9)
    return schedulers.SequentialLR(optimizer, [first, then], [15])


def together(optimizer):
    """Make an exponential times a warm-up."""
    first = schedulers.LinearLR(optimizer, 0.25, total_iters=15)
    return schedulers.ChainedScheduler([first, schedulers.ExponentialLR(optimizer, 0.9)])


SCHEDULERS = {
    "step": lambda o: schedulers.StepLR(o, 7, gamma=0.5),
    "multi step": lambda o: schedulers.MultiStepLR(o, [5, 20, 60], gamma=0.3),
    "exponential": lambda o: schedulers.ExponentialLR(o, 0.95),
    "polynomial": lambda o: schedulers.PolynomialLR(o, total_iters=60, power=2.0),
    "line": lambda o: schedulers.LinearLR(o, 1.0, 0.1, total_iters=40),
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, 100, eta_min=0.01),
    "cosine with restarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, 10, 2, 0.01),
    "warm-up": lambda o: schedulers.LinearLR(o, 0.25, total_iters=15),
    "one cycle": lambda o: schedulers.OneCycleLR(o, golden.SCHEDULED_LR, total_steps=100),
    "one cycle of lines": lambda o: schedulers.OneCycleLR(
        o,
        golden.SCHEDULED_LR,
        total_steps=100,
        pct_start=0.2,
        anneal_strategy="linear",
        div_factor=10,
        final_div_factor=50,
    ),
    "sequential": in_turn,
    "chained": together,
    "plateau": lambda o: schedulers.ReduceLROnPlateau(o, factor=0.5, patience=3, min_lr=0.01),
    "plateau with cooldown": lambda o: schedulers.ReduceLROnPlateau(
        o, "max", factor=0.7, patience=1, threshold=0.02, cooldown=4
    ),
}


def schedules():
    """The learning rate at each of 100 steps."""
    vectors = {}
    for name, make in SCHEDULERS.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], golden.SCHEDULED_LR)
        scheduler, rates = make(optimizer), []
        for t in range(1, golden.STEPS + 1):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if t < golden.STEPS:
                scheduler.step(*[golden.metric(t)] * name.startswith("plateau"))
        vectors[name] = {"lr": rates}
    return vectors


class Block(torch.nn.Module):
    """Two convolutions with batch norm around a shortcut of every second pixel and zeros."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False),
            torch.nn.BatchNorm2d(out),
            torch.nn.ReLU(),
            torch.nn.Conv2d(out, out, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(out),
        )
        self.stride, self.extra = stride, out - channels

    def forward(self, x):
        """Return the sum of both ways."""
        around = x[:, :, :: self.stride, :: self.stride]
        return self.body(x) + F.pad(around, (0, 0, 0, 0, 0, self.extra))


def resnet20():
    """Build the network; the names of its parameters are those of convlet's but for the last."""
    layers = [
        torch.nn.Conv2d(3, 16, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
    ]
    width = 16
    for out in (16, 16, 16, 32, 32, 32, 64, 64, 64):
        layers += [Block(width, out, 1 + (out != width)), torch.nn.ReLU()]
        width = out
    pool = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, torch.nn.Sequential(*pool), torch.nn.Linear(64, 10))


def resnet():
    """Ten training steps of ResNet-20 in both dtypes: losses, and where some parameters end."""
    return {"float64": resnet_run(torch.float64), "float32": resnet_run(torch.float32)}


def resnet_run(dtype):
    """Train in one dtype."""
    number = torch.empty((), dtype=dtype).numpy().dtype
    model = resnet20().to(dtype)
    norms = {name for name, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            place, kind = name.rsplit(".", 1)
            if place in norms:
                kind = {"weight": "gamma", "bias": "beta"}[kind]
            order = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[parameter.ndim]
            shape = tuple(parameter.permute(order).shape)
            start = golden.resnet_start(f"{place}.{kind}", shape, number)
            parameter.copy_(torch.tensor(start).permute(tuple(np.argsort(order))))
    options = dict(golden.RESNET_SGD)
    optimizer = torch.optim.SGD(model.parameters(), weight_decay=options.pop("l2"), **options)
    losses = []
    for t in range(golden.RESNET_STEPS):
        x, target = golden.resnet_batch(t, number)
        loss = F.cross_entropy(model(to_torch(x).detach()), torch.tensor(target))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    state = model.state_dict()
    return {
        "losses": losses,
        "0.weight": state["0.weight"].permute(2, 3, 1, 0).numpy(),
        "19.body.4.gamma": state["19.body.4.weight"].numpy(),
        "19.body.4.running_mean": state["19.body.4.running_mean"].numpy(),
        "19.body.4.running_var": state["19.body.4.running_var"].numpy(),
        "22.bias": state["22.bias"].numpy(),
    }


TOPICS = (
    conv,
    conv_transpose,
    max_pool,
    avg_pool,
    images,
    batch_norm,
    group_norm,
    activations,
    cross_entropy,
    nll,
    losses,
    optimizers,
    schedules,
    resnet,
)


def main():
    """Write the files of the topics named on the command line."""
    known = {function.__name__: function for function in TOPICS}
    unknown = sorted(set(sys.argv[1:]) - known.keys())
    if unknown:
        raise SystemExit(f"unknown topics {unknown}; there are {sorted(known)}")
    for topic in sys.argv[1:] or known:
        golden.save(topic, known[topic](), f"PyTorch {torch.__version__}")
        size = (golden.FOLDER / f"{topic}.npz").stat().st_size
        print(f"{topic:16}{size / 1000:8.1f} kB")


if __name__ == "__main__":
    main()
