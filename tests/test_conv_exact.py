"""Convolutions of small integers are exact, bit for bit: all passes, levels and thread counts.

The problems are oneDNN's own lists. Sums of integers below 2^24 are exact in float32 in any order,
so a result that is not the integer is a fault of indexing, of a tail or of the padding, which a
tolerance would hide. A level is chosen when the package is loaded, so each runs in a process.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import convlet as cl
from cases import load_conv_cases
from convlet import reference

LARGEST = 2**24
OPERAND = 8
CASES = load_conv_cases(max_batch=2, max_multiply_adds=4e8)
PROGRAM = "import test_conv_exact; test_conv_exact.check_all()"


def integers(rng, shape, terms):
    """Integers in [-8, 8], thinned so that `terms` products of two sum up to 2^24 at most."""
    values = rng.integers(-OPERAND, OPERAND + 1, shape).astype(np.float64)
    density = LARGEST / (terms * OPERAND**2)
    return values if density >= 1 else values * (rng.random(shape) < density / 2)


def check(case):
    """Hold the three passes of a problem, in float32, against integer arithmetic in float64."""
    rng = np.random.default_rng(list(case.name.encode()))
    n, oh, ow, _ = case.y_shape
    x = integers(rng, case.x_shape, max(case.k, n * oh * ow))
    w = integers(rng, case.w_shape, case.w_shape[0] * case.w_shape[1] * case.oc)
    b = integers(rng, (case.oc,), 1)
    dy = integers(rng, case.y_shape, n * oh * ow)
    expected = (
        reference.conv2d(x, w, b, **case.options),
        *reference.conv2d_backward(dy, x, w, **case.options),
    )
    assert max(np.abs(a).max() for a in expected) <= LARGEST

    x, w, b, dy = (a.astype(np.float32) for a in (x, w, b, dy))
    for threads in (1, 2, 3):
        with cl.num_threads(threads):
            got = (
                cl.ops.conv2d(x, w, b, algorithm="im2col", **case.options),
                *cl.ops.conv2d_backward(dy, x, w, algorithm="im2col", **case.options),
            )
        for name, want, have in zip(("y", "dx", "dw", "db"), expected, got, strict=True):
            assert np.array_equal(want, have), (case.name, name, threads)


def check_all():
    for case in CASES:
        check(case)
    print(f"{cl._core.isa()} {len(CASES)}")


def test_the_list_is_whole():
    """All problems but the one with negative top and left padding, up to 4e8 multiply-adds."""
    assert len(CASES) == 247


@pytest.mark.parametrize("level", cl._core.isa_levels())
def test_convolution_of_integers_is_exact(level):
    """Forward, both gradients and the bias gradient equal the integers at 1, 2 and 3 threads."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=os.path.dirname(__file__),
        env=os.environ | {"CONVLET_ISA": level},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (f"{level} {len(CASES)}\n", "") == (done.stdout, done.stderr)
