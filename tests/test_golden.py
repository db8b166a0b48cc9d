"""Functions of images against the golden vectors of PyTorch.

Everything is float64. Both sides round, in another order: bounds are relative to the largest number
of an array, 1e-14 for sums (they have up to 400 terms) and 1e-15 for means of a window.
"""

import numpy as np

import golden
from convlet import ops
from golden import cases, check, draw


def test_files_are_small_and_name_their_maker():
    """All files together stay below 1 MB, and each says what made it, in which version."""
    files = list(golden.FOLDER.glob("*.npz"))

    assert files
    assert sum(file.stat().st_size for file in files) < 1_000_000
    for file in files:
        with np.load(file) as arrays:
            assert arrays["maker"].item().startswith(("PyTorch 2.", "Keras 3."))


@cases("conv")
def test_conv2d(name, expected):
    """Convolution and its gradients are PyTorch's, for every option."""
    x_shape, w_shape, options = golden.CONV[name]
    x, w = draw(f"conv/{name}/x", x_shape), draw(f"conv/{name}/w", w_shape)
    y = ops.conv2d(x, w, draw(f"conv/{name}/b", w_shape[3:]), **options)
    gradients = ops.conv2d_backward(draw(f"conv/{name}/dy", y.shape), x, w, **options)

    check(y, expected["y"], 1e-14)
    for kind, gradient in zip(("dx", "dw", "db"), gradients, strict=True):
        check(gradient, expected[kind], 1e-14)


@cases("conv_transpose")
def test_conv_transpose2d(name, expected):
    """Transposed convolution and its gradients are PyTorch's, for every option."""
    x_shape, w_shape, options = golden.CONV_TRANSPOSE[name]
    case = f"conv_transpose/{name}"
    x, w = draw(f"{case}/x", x_shape), draw(f"{case}/w", w_shape)
    b = draw(f"{case}/b", (w_shape[2] * options["groups"],))
    y = ops.conv_transpose2d(x, w, b, **options)
    gradients = ops.conv_transpose2d_backward(draw(f"{case}/dy", y.shape), x, w, **options)

    check(y, expected["y"], 1e-14)
    for kind, gradient in zip(("dx", "dw", "db"), gradients, strict=True):
        check(gradient, expected[kind], 1e-14)


@cases("max_pool")
def test_max_pool2d(name, expected):
    """Maxima of windows, and which of the tied values gets the gradient, are PyTorch's."""
    x, options = golden.pool_input("max_pool", name), golden.MAX_POOL[name]
    y = ops.max_pool2d(x, **options)
    dx = ops.max_pool2d_backward(draw(f"max_pool/{name}/dy", y.shape), x, **options)

    np.testing.assert_array_equal(y, expected["y"])
    check(dx, expected["dx"], 1e-15)


@cases("avg_pool")
def test_avg_pool2d(name, expected):
    """Means of windows and their gradients are PyTorch's, with every way to count padding."""
    x, options = golden.pool_input("avg_pool", name), golden.AVG_POOL[name]
    y = ops.avg_pool2d(x, **options)
    dx = ops.avg_pool2d_backward(draw(f"avg_pool/{name}/dy", y.shape), x.shape, **options)

    check(y, expected["y"], 1e-15)
    check(dx, expected["dx"], 1e-15)


@cases("images")
def test_image_functions(name, expected):
    """Adaptive means, upsampling, padding and global maxima are PyTorch's, gradients too."""
    function, options = golden.IMAGES[name]
    x = golden.image_input(name)
    y = getattr(ops, function)(x, **options)
    dy = draw(f"images/{name}/dy", y.shape)
    given = x if function == "global_max_pool2d" else x.shape
    dx = getattr(ops, f"{function}_backward")(dy, given, **options)

    check(y, expected["y"], 1e-14)
    check(dx, expected["dx"], 1e-14)
