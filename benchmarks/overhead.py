"""Time what a call costs before any arithmetic: the door into the core, and what else it might be.

    pip install ".[bench,dev]" && python benchmarks/overhead.py

Prints microseconds a call, the minimum over rounds, one thread, on a (1,4,4,8) convolution. The two
alternatives to the gate are compiled here, from `overhead.pyx` with the limited API: a function
with three typed memoryviews, and calls from Cython through `convlet/_core.pxd`.

Then the same of a training step of the digits network at batch 32 whose steps call functions that
do nothing in place of the core's, by step forward and backward; and of a folded model at batch 1.
"""

import contextlib
import functools
import importlib.util
import subprocess
import sys
import sysconfig
import tempfile
import timeit
import types
from pathlib import Path
from unittest import mock

import numpy as np

import convlet as cl
from convlet import _core
from convlet.ops.conv import conv2d_geometry
from convlet.planner.steps import conv, join, norm, pool

ROUNDS, CALLS = 9, 20000


def compiled():
    """Compile overhead.pyx against the installed convlet and import it."""
    package = Path(cl.__file__).parent
    source = Path(__file__).with_name("overhead.pyx")
    with tempfile.TemporaryDirectory() as folder:
        c_file, library = Path(folder) / "overhead.c", Path(folder) / "overhead.abi3.so"
        cython = [sys.executable, "-m", "cython", "-3", "-I", package.parent]
        subprocess.run([*cython, source, "-o", c_file], check=True)
        flags = ["-O2", "-shared", "-fPIC", "-DPy_LIMITED_API=0x030b0000", "-DCYTHON_LIMITED_API=1"]
        paths = [f"-I{sysconfig.get_path('include')}", f"-I{package / 'include'}"]
        subprocess.run(["cc", *flags, *paths, c_file, "-o", library], check=True)
        spec = importlib.util.spec_from_file_location("overhead", library)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def microseconds(function, *arguments, calls=CALLS):
    """Time one call, the minimum over rounds."""
    timer = timeit.Timer(functools.partial(function, *arguments))
    return min(timer.repeat(ROUNDS, calls)) / calls * 1e6


def idle_core():
    """The core with kernels that do nothing, but for statistics, which must be finite."""

    def nothing(*arguments):
        pass

    def batch_norm_forward(y, mean, var, *arguments):
        mean[...], var[...] = 0, 1

    def batch_norm_max_pool2d_forward(y, winners, statistics, *arguments):
        statistics[0], statistics[1] = 0, 1

    idle = types.SimpleNamespace(**dict.fromkeys(dir(_core), nothing))
    idle.empty = _core.empty
    idle.batch_norm_forward = batch_norm_forward
    idle.batch_norm_max_pool2d_forward = batch_norm_max_pool2d_forward
    return idle


def training_python(rows):
    """Add what the Python of a training step costs, in all and by step forward and backward."""
    model = cl.models.digits(rng=0)
    x = np.zeros((32, 8, 8, 1), np.float32)
    dy = np.zeros((32, 10), np.float32)

    def step():
        _, pullback = model.vjp(x, input_grad=False)
        pullback(dy)

    step()  # its blocks come back later, with finite numbers, which are added up faster
    count = 2 * len(model.plan(x.shape).rows)
    with contextlib.ExitStack() as idle:
        for module in (conv, join, norm, pool):
            idle.enter_context(mock.patch.object(module, "_core", idle_core()))
        total = microseconds(step, calls=500)
    rows.append((total, f"the Python of a training step of the digits network, {count} kernels"))
    rows.append((total / count, "the same by kernel"))


def main():
    module = compiled()
    x, y = np.ones((1, 4, 4, 8), np.float32), np.empty((1, 4, 4, 8), np.float32)
    w, b = np.ones((3, 3, 8, 8), np.float32), np.ones(8, np.float32)
    geometry = conv2d_geometry(
        x.shape, w.shape, stride=1, padding=1, dilation=1, groups=1, algorithm="auto"
    )
    rows = [
        ("three 4-d memoryviews, nothing done", (module.memoryviews, y, x, x)),
        ("the gate: _core.add_into of three 4-d arrays", (_core.add_into, y, x, x, 1)),
        ("_core.conv2d_forward", (_core.conv2d_forward, y, x, w, b, geometry, 1)),
        ("ops.conv2d", (functools.partial(cl.ops.conv2d, padding=1), x, w, b)),
        ("np.empty, to compare", (np.empty, (1, 4, 4, 8), np.float32)),
        ("_core.empty, from the block cache", (_core.empty, (1, 4, 4, 8), "f")),
    ]
    with cl.num_threads(1):
        for name, call in rows:
            print(f"{microseconds(*call):8.3f}  {name}")
        workspace = _core.empty((1 << 16,), "B")
        from_c = [
            ("cvl_add", module.cimported_adds, (y, x, x)),
            ("cvl_conv2d_forward", module.cimported_convolutions, (y, x, w, b, workspace)),
        ]
        timed = [
            (
                min(loop(*arrays, CALLS) for _ in range(ROUNDS)) / CALLS * 1e6,
                f"{name} through _core.pxd, from a Cython loop without the GIL",
            )
            for name, loop, arrays in from_c
        ]
        training_python(timed)
        folded, image = cl.models.digits(rng=0).fold(), np.zeros((1, 8, 8, 1), np.float32)
        timed.append(
            (microseconds(folded, image, calls=2000), "the digits network folded, batch 1")
        )
    for time, name in timed:
        print(f"{time:8.3f}  {name}")


if __name__ == "__main__":
    main()
