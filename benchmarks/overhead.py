"""Time what a call costs before any arithmetic: the door into the core, and what else it might be.

    pip install ".[bench,dev]" && python benchmarks/overhead.py

Prints microseconds a call, the minimum over rounds, one thread, on a (1,4,4,8) convolution. The two
alternatives to the gate are compiled here, from `overhead.pyx` with the limited API: a function
with three typed memoryviews, and calls from Cython through `convlet/_core.pxd`.
"""

import functools
import importlib.util
import subprocess
import sys
import sysconfig
import tempfile
import timeit
from pathlib import Path

import numpy as np

import convlet as cl
from convlet import _core

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


def microseconds(function, *arguments):
    """Time one call, the minimum over rounds."""
    timer = timeit.Timer(functools.partial(function, *arguments))
    return min(timer.repeat(ROUNDS, CALLS)) / CALLS * 1e6


def main():
    module = compiled()
    x, y = np.ones((1, 4, 4, 8), np.float32), np.empty((1, 4, 4, 8), np.float32)
    w, b = np.ones((3, 3, 8, 8), np.float32), np.ones(8, np.float32)
    geometry = (3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0)
    rows = [
        ("three 4-d memoryviews, nothing done", (module.memoryviews, y, x, x)),
        ("the gate: _core.add of three 4-d arrays", (_core.add, y, x, x, 1)),
        ("_core.conv2d_forward", (_core.conv2d_forward, y, x, w, b, geometry, 1)),
        ("ops.conv2d", (functools.partial(cl.ops.conv2d, padding=1), x, w, b)),
        ("np.empty, to compare", (np.empty, (1, 4, 4, 8), np.float32)),
        ("_core.empty, from the block cache", (_core.empty, (1, 4, 4, 8), "f")),
    ]
    with cl.num_threads(1):
        for name, call in rows:
            print(f"{microseconds(*call):8.3f}  {name}")
        per_call = min(module.cimported_adds(y, x, x, CALLS) for _ in range(ROUNDS)) / CALLS * 1e6
    print(f"{per_call:8.3f}  cvl_add through _core.pxd, from a Cython loop without the GIL")


if __name__ == "__main__":
    main()
