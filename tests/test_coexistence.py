"""The threads of the package beside those of others in one process, whoever is loaded first."""

import importlib.util
import itertools
import json
import os
from pathlib import Path

import pytest

import convlet
from processes import run_python

OTHERS = [name for name in ("sklearn", "torch") if importlib.util.find_spec(name)]
ORDERS = [
    order
    for count in range(len(OTHERS) + 1)
    for others in itertools.combinations(OTHERS, count)
    for order in itertools.permutations(("convlet", *others))
]

# Imports what it is told in that order, makes each work on two threads, and says what came of it.
PROGRAM = """
import hashlib, importlib, json, sys
from pathlib import Path
import numpy as np

x = np.random.default_rng(0).standard_normal((64, 16, 16, 3), np.float32)
digest = None

def convlet():
    import convlet as cl
    global digest
    model = cl.Sequential(cl.Conv2d(3, 17, 3), cl.BatchNorm(17), cl.ReLU(), cl.Flatten(),
                          cl.Linear(17 * 196, 10), rng=0)
    optimizer = cl.Adam(model.parameters())
    with cl.num_threads(2):
        for _ in range(3):
            logits, pullback = model.vjp(x)
            pullback(cl.softmax_cross_entropy(logits, np.arange(64) % 10)[1])
            optimizer.step()
    values = b"".join(p.value.tobytes() for p in model.parameters())
    digest = hashlib.sha256(values).hexdigest()

def sklearn():
    from sklearn.cluster import KMeans
    KMeans(3, n_init=1, random_state=0).fit(x.reshape(-1, 12))

def torch():
    import torch
    torch.set_num_threads(2)
    torch.nn.functional.conv2d(torch.from_numpy(x), torch.ones(4, 16, 3, 3))

work = {"convlet": convlet, "sklearn": sklearn, "torch": torch}
for name in sys.argv[1:]:
    importlib.import_module(name)
for name in (*sys.argv[1:], *sys.argv[1:]):
    work[name]()
maps = Path("/proc/self/maps")
lines = maps.read_text().splitlines() if maps.exists() else []
files = {line.split(maxsplit=5)[5] for line in lines if "libgomp.so.1" in line}
print(json.dumps([digest, sorted(files)]))
"""


def outcome(*order):
    """Return the digest of the weights that convlet trains, and what maps as libgomp.so.1."""
    done = run_python(PROGRAM, *order, OMP_NUM_THREADS="2", CONVLET_ADAPTIVE="0")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def alone():
    return outcome("convlet")


def test_a_wheel_brings_its_runtime(alone):
    """Alone, a wheel with libgomp.so.1 runs on its own one; a build without, on one at most."""
    own = Path(convlet.__file__).with_name("libgomp.so.1")

    assert len(alone[1]) <= 1
    if own.exists():
        assert alone[1] == [os.fspath(own.resolve())]
        assert own.with_name("LICENSE-libgomp.txt").exists()


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_import_orders(order, alone):
    """In any order of imports, all work, to the same bits, on at most one libgomp.so.1."""
    digest, files = outcome(*order)

    assert digest == alone[0]
    assert len(files) <= 1
