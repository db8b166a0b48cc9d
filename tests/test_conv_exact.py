"""Convolutions of small integers are exact, bit for bit: all passes, levels and thread counts.

The problems are oneDNN's own lists. Sums of integers below 2^24 are exact in float32 in any order,
so a result that is not the integer is a fault of indexing, of a tail or of the padding, which a
tolerance would hide. A level is chosen when the package is loaded, so each runs in a process, which
prints digests of its results: the integers themselves are computed once.
"""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

import convlet as cl
from cases import load_conv_cases
from convlet import reference
from processes import run_python

LARGEST = 2**24
OPERAND = 8
# Of two images up to 2e8 multiply-adds, of one above. Problems that networks share count once.
NAMED = {
    case.name: case
    for images in (1, 2)
    for case in load_conv_cases(max_batch=images, max_multiply_adds=2e8)
}
CASES = list({repr(replace(case, name="")): case for case in NAMED.values()}.values())
PROGRAM = "import test_conv_exact; test_conv_exact.print_digests()"


def integers(rng, shape, terms):
    """Integers in [-8, 8], thinned so that `terms` products of two sum up to 2^24 at most."""
    values = rng.integers(-OPERAND, OPERAND + 1, shape).astype(np.float64)
    density = LARGEST / (terms * OPERAND**2)
    return values if density >= 1 else values * (rng.random(shape) < density / 2)


def operands(case):
    """Return x, w, b and dy of a problem: the same in every process."""
    rng = np.random.default_rng(list(case.name.encode()))
    n, oh, ow, _ = case.y_shape
    return (
        integers(rng, case.x_shape, max(case.k, n * oh * ow)),
        integers(rng, case.w_shape, case.w_shape[0] * case.w_shape[1] * case.oc),
        integers(rng, (case.oc,), 1),
        integers(rng, case.y_shape, n * oh * ow),
    )


def digests(y, dx, dw, db):
    """Return a digest of each result as float32, in which -0 counts as 0."""
    results = {"y": y, "dx": dx, "dw": dw, "db": db}
    return {
        name: hashlib.sha256((a.astype(np.float32) + np.float32(0)).tobytes()).hexdigest()
        for name, a in results.items()
    }


def print_digests():
    """Print the digests of this level: a JSON line for each problem and number of threads."""
    for case in CASES:
        x, w, b, dy = (a.astype(np.float32) for a in operands(case))
        for threads in (1, 2, 3):
            with cl.num_threads(threads):
                y = cl.ops.conv2d(x, w, b, algorithm="im2col", **case.options)
                gradients = cl.ops.conv2d_backward(dy, x, w, algorithm="im2col", **case.options)
            print(json.dumps([cl._core.isa(), case.name, threads, digests(y, *gradients)]))


@pytest.fixture(scope="module")
def expected():
    """Digests of the integers, by problem, from float64."""
    by_name = {}
    for case in CASES:
        x, w, b, dy = operands(case)
        y = reference.conv2d(x, w, b, **case.options)
        gradients = reference.conv2d_backward(dy, x, w, **case.options)
        assert max(np.abs(a).max() for a in (y, *gradients)) <= LARGEST
        by_name[case.name] = digests(y, *gradients)
    return by_name


def test_the_list_is_whole():
    """All problems but the one with negative top and left padding, up to 4e8 of two images."""
    assert len(NAMED) == 247
    assert len(CASES) == 224


@pytest.mark.parametrize("level", cl._core.isa_levels())
def test_convolution_of_integers_is_exact(level, expected):
    """Forward, both gradients and the bias gradient equal the integers at 1, 2 and 3 threads."""
    done = run_python(PROGRAM, CONVLET_ISA=level)
    lines = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.stderr == ""
    assert len(lines) == 3 * len(CASES)
    for isa, name, threads, have in lines:
        assert (level, expected[name]) == (isa, have), (name, threads)
