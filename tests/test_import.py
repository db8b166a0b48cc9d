"""What `import convlet` brings in, leaves alone, and says about itself."""

import doctest
import importlib
import importlib.metadata
import operator
import pkgutil
import re
import sys

import pytest

import convlet as cl
from convlet._names import FOREIGN_NAMES
from processes import run_python

CYTHONS = {"cython_runtime"}  # what Cython enters beside convlet._core
# Not inspect: the code that Cython writes imports it, and so does NumPy from 2.4 on.
HEAVY = {"argparse", "asyncio", "dataclasses", "email", "hashlib", "json", "unittest"}


def run(program):
    """Run a program in a process of its own and return what it prints."""
    done = run_python(program)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def test_import_brings_nothing_optional_or_heavy():
    """Beside NumPy, `import convlet` loads small modules of the standard library at most."""
    program = (
        "import sys, numpy; before = set(sys.modules); import convlet\n"
        "print(*(set(sys.modules) - before))"
    )
    new = {name.split(".")[0] for name in run(program).split()} - {"convlet"} - CYTHONS

    assert new <= sys.stdlib_module_names
    assert not new & HEAVY


def test_import_and_work_keep_the_floating_point_state():
    """Neither import nor work leaves the process flushing subnormals or rounding otherwise."""
    program = """
import numpy as np
def state():
    tiny, one = np.float32(1e-40), np.float64(1)
    return float(tiny * np.float32(1)), float(tiny + tiny), float(one + 2.0**-53), float(one / 3)
before = state()
import convlet as cl
assert state() == before
for threads in (1, 2):
    with cl.num_threads(threads):
        model = cl.Sequential(cl.Conv2d(8, 16, 3), cl.BatchNorm(16), cl.MaxPool2d(2), rng=0)
        y, pullback = model.vjp(np.ones((8, 32, 32, 8), np.float32) * np.arange(8, dtype="f4"))
        pullback(y)
        cl.Adam(model.parameters()).step()
        cl.softmax(y)
        assert state() == before
"""

    assert "" == run(program)


def test_modules_on_demand():
    """Every module of the package is an attribute of it, imported by then at the latest."""
    program = """
import sys
import convlet as cl
names = ["data", "gradcheck", "models", "reference", "states", "training"]
assert set(names) <= set(dir(cl)), dir(cl)
assert not {f"convlet.{name}" for name in names} & set(sys.modules)
print(*(getattr(cl, name).__name__ for name in names))
try:
    cl.nothing
except AttributeError as error:
    print(error)
"""

    assert (
        "convlet.data convlet.gradcheck convlet.models convlet.reference convlet.states "
        "convlet.training\n"
        "module 'convlet' has no attribute 'nothing'\n"
    ) == run(program)


def test_version():
    """The package knows the version it is installed as."""
    assert importlib.metadata.version("convlet") == cl.__version__


@pytest.mark.parametrize(
    "name",
    [
        *("Sequential", "Residual", "Conv2d", "Linear", "BatchNorm", "MaxPool2d", "AvgPool2d"),
        *("GlobalAvgPool2d", "Flatten", "ReLU", "Softmax", "Layer", "Parameter", "SGD", "Adam"),
        *("AdamW", "NAdam", "RMSProp", "Lion", "schedules"),
        *("AdaGrad", "softmax_cross_entropy", "softmax", "log_softmax", "conv2d", "batch_norm"),
        *("linear", "relu", "max_pool2d", "avg_pool2d", "global_avg_pool2d", "num_threads"),
        *("get_num_threads", "show_config", "clear_cache", "ops", "layers", "optimizers"),
        *("losses", "init", "data", "models", "Concat", "Lambda"),
        *("LeakyReLU", "ReLU6", "Sigmoid", "Tanh", "ELU", "GELU", "SiLU", "HardSwish", "Softplus"),
        *("leaky_relu", "relu6", "sigmoid", "tanh", "elu", "gelu", "silu", "hard_swish"),
        "softplus",
    ],
)
def test_public_names(name):
    """What the documentation calls cl.<name> is there."""
    assert hasattr(cl, name)


@pytest.mark.parametrize("name", FOREIGN_NAMES)
def test_names_of_other_libraries(name):
    """A name that another library has here is an error that says which stands in its place."""
    with pytest.raises(AttributeError, match=re.escape(FOREIGN_NAMES[name])):
        getattr(cl, name)

    for path in re.findall(r"convlet\.([\w.]*\w)", FOREIGN_NAMES[name]):
        assert operator.attrgetter(path)(cl) is not None


@pytest.mark.parametrize(
    "name",
    [m.name for m in pkgutil.walk_packages(cl.__path__, "convlet.") if "__main__" not in m.name],
)
def test_examples_in_docstrings(name):
    """Every example of a docstring gives what it shows."""
    results = doctest.testmod(importlib.import_module(name))

    assert 0 == results.failed
