"""Make the tables of benchmarks/shapes/networks from the networks of convlet.models.

    python tools/make_shapes.py [FOLDER]

needs convlet; FOLDER is benchmarks/shapes/networks unless given. A network has two tables: every
pass of a training step at the batch it is trained with, and the forward passes of inference on one
image. A line is a problem as cvlbench reads it, with the place of its first occurrence and how
often it occurs; ReLU and sums are joined to the batch norm before them, as in training.
tests/test_shape_tables.py holds the files to what this makes.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

from convlet import models

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks" / "shapes" / "networks"

# The network, the images it sees, its training batch, and the optimizer of its parameters.
NETWORKS = {
    "digits": (models.digits, (8, 8, 1), 128, "adam"),
    "lenet": (models.lenet, (28, 28, 1), 64, "adam"),
    "resnet20": (models.resnet20, (32, 32, 3), 32, "sgd_momentum"),
    "mobilenet": (models.mobilenet_small, (32, 32, 3), 32, "adam"),
    "resnet18": (models.resnet18, (224, 224, 3), 8, "sgd_momentum"),
}


def conv2d(layer, before, after):
    """N H W C OC K S P G; these networks have square windows."""
    (k, _), (s, _) = layer.kernel_size, layer.stride
    h, oh = before[1], after[1]
    padding = ((oh - 1) * s + k - h + 1) // 2
    return "conv2d", (*before, layer.out_channels, k, s, padding, layer.groups)


def batch_norm(layer, before, after):
    """M C."""
    return "batch_norm", (math.prod(before[:-1]), before[-1])


def max_pool2d(layer, before, after):
    """N H W C K S P."""
    (k, _), (s, _) = layer.kernel_size, layer.stride
    padding = ((after[1] - 1) * s + k - before[1] + 1) // 2
    return "max_pool2d", (*before, k, s, padding)


def global_avg_pool2d(layer, before, after):
    """N H W C."""
    return "global_avg_pool2d", before


def linear(layer, before, after):
    """M IN OUT."""
    return "linear", (*before, *after[1:])


def relu(layer, before, after):
    """n."""
    return "relu", (math.prod(before),)


def residual(layer, before, after):
    """n."""
    return "add", (math.prod(after),)


LAYERS = {
    "Conv2d": conv2d,
    "BatchNorm": batch_norm,
    "MaxPool2d": max_pool2d,
    "GlobalAvgPool2d": global_avg_pool2d,
    "Linear": linear,
    "ReLU": relu,
    "Residual": residual,
}
VIEWS = ("Flatten",)

# Which passes a step takes, where not all of an operator, and which ones inference.
TRAINING = dict.fromkeys(("batch_norm", "batch_norm_relu"), ":forward,backward") | {
    "batch_norm_add_relu": ":forward,backward",
    "max_pool2d": ":forward_winners,backward_winners",
    "softmax_cross_entropy": ":labels",
}
INFERENCE = dict.fromkeys(("batch_norm", "batch_norm_relu", "batch_norm_add_relu"), ":inference")


def operators(network, shape):
    """List (operator, numbers, place), with ReLU and sums joined to a batch norm before them."""
    found = []
    for place, layer, before, after in network._trace(shape):
        kind = type(layer).__name__
        if kind in VIEWS:
            continue
        name, numbers = LAYERS[kind](layer, before, after)
        if name == "add":  # the batch norm at the end of the body takes the sum
            body = f"{place.removesuffix('add')}body"
            last = max(i for i, row in enumerate(found) if row[2].startswith(body))
            found[last] = ("batch_norm_add", *found[last][1:])
            continue
        if name == "relu":
            sums = [i for i, row in enumerate(found) if row[0] == "batch_norm_add"]
            i = sums[0] if sums else len(found) - 1
            if found[i][0] in ("batch_norm", "batch_norm_add"):
                found[i] = (found[i][0] + "_relu", *found[i][1:])
                continue
        found.append((name, numbers, place))
    return found


def lines(rows, passes, default):
    """Yield a line for each problem, in the order of its first occurrence.

    Parameters
    ----------
    rows : list of (operator, numbers, place)
    passes : dict from operators to what follows their name
    default : what follows the name of any other operator
    """
    places = {}
    for name, numbers, place in rows:
        places.setdefault((name, numbers), []).append(place)
    for (name, numbers), where in places.items():
        words = " ".join(map(str, numbers))
        times = f", {len(where)} times" if len(where) > 1 else ""
        yield f"{name + passes.get(name, default):<44} {words:<34}  # {where[0]}{times}"


def tables():
    """Return the text of each file."""
    made = {}
    for name, (make, image, batch, optimizer) in NETWORKS.items():
        network = make(rng=0)
        step = operators(network, (batch, *image))
        classes = step[-1][1][-1]
        parameters = sum(parameter.size for parameter in network.parameters())
        step[0] = ("conv2d:forward,backward_weights", *step[0][1:])  # nobody asks for its dx
        step += [
            ("softmax_cross_entropy", (batch, classes), "loss"),
            (optimizer, (parameters,), "optimizer"),
        ]
        inference = [*operators(network, (1, *image)), ("softmax", (1, classes), "probabilities")]
        head = f"# convlet.models.{make.__name__}, made by tools/make_shapes.py: "
        made[f"{name}.txt"] = "\n".join(
            [f"{head}a training step, {batch} images", *lines(step, TRAINING, ""), ""]
        )
        made[f"{name}_batch1.txt"] = "\n".join(
            [f"{head}inference, 1 image", *lines(inference, INFERENCE, ":forward"), ""]
        )
    return made


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
