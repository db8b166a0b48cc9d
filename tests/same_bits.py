"""The same bits for any number of threads, and on every level with FMA."""

import numpy as np
import pytest

from convlet import _core, num_threads
from processes import run_python

FUSED_LEVELS = [level for level in _core.isa_levels() if level != "baseline"]
needs_fma = pytest.mark.skipif(not FUSED_LEVELS, reason="this CPU has no level with FMA")


def printed(program, level, threads):
    """Run a program in a process of its own; return the words that follow the level in use."""
    done = run_python(program, CONVLET_ISA=level, CONVLET_NUM_THREADS=str(threads))
    assert (0, "") == (done.returncode, done.stderr)
    used, *sums = done.stdout.split()
    assert level == used
    return sums


def assert_same_bits(program):
    """A program that prints the level in use and checksums prints the same on every level."""
    results = {(level, n): printed(program, level, n) for level in FUSED_LEVELS for n in (1, 2, 3)}
    first, *others = results.values()
    assert all(first == other for other in others), results


def assert_same_for_any_threads(run):
    """The arrays that a function returns have the same bits for 1, 2, 3 and 7 threads."""
    with num_threads(1):
        serial = run()
    for threads in (2, 3, 7):
        with num_threads(threads):
            for a, b in zip(serial, run(), strict=True):
                np.testing.assert_array_equal(a, b)
