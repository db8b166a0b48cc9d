"""Losses against the golden vectors of PyTorch, in float64.

A loss is held relative to itself, a gradient to the largest number in it.
"""

import numpy as np

import convlet as cl
import golden
from convlet import losses
from golden import cases, check


def check_loss(result, expected, gradient):
    """Hold the (loss, gradient) that a loss returned to the vectors."""
    loss, actual = result
    expected = dict(expected)
    np.testing.assert_allclose(loss, expected["loss"], rtol=1e-13, atol=1e-15, strict=True)
    check(actual, expected[gradient], 1e-14)


@cases("cross_entropy")
def test_cross_entropy(name, expected):
    """Every combination of options that PyTorch defines has its value and its gradient."""
    options = golden.CROSS_ENTROPY[name]
    logits, target, weights = golden.cross_entropy_inputs(**options)
    result = cl.softmax_cross_entropy(
        logits,
        target,
        axis=1,
        class_weight=weights if options["weights"] else None,
        ignore_index=golden.IGNORED if options["ignore"] else None,
        label_smoothing=options["smoothing"],
        reduction=options["reduction"],
    )

    check_loss(result, expected, "dlogits")


@cases("nll")
def test_nll(name, expected):
    """The likelihood of labels is PyTorch's, with weights and ignored rows."""
    options = golden.NLL[name]
    x, target, weights = golden.cross_entropy_inputs(options["shape"], "labels")
    result = losses.nll(
        x,
        target,
        axis=1,
        class_weight=weights if options["weights"] else None,
        ignore_index=golden.IGNORED if options["ignore"] else None,
        reduction=options["reduction"],
    )

    check_loss(result, expected, "gradient")


@cases("losses")
def test_element_losses(name, expected):
    """Losses of each element, and their gradients where they bend, are PyTorch's."""
    function, options = golden.ELEMENT_LOSSES[name]
    if function == "binary_cross_entropy_with_logits":
        positive, weights = golden.element_weights(name)
        options = options | {
            "pos_weight": positive if options["pos_weight"] else None,
            "sample_weight": weights if options["sample_weight"] else None,
        }
    result = getattr(losses, function)(*golden.element_inputs(name), **options)

    check_loss(result, expected, "gradient")
