"""The tables of shapes that are made from the networks."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def make_shapes():
    spec = importlib.util.spec_from_file_location("make_shapes", ROOT / "tools" / "make_shapes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_network_tables():
    """benchmarks/shapes/networks holds what tools/make_shapes.py makes of convlet.models."""
    module = make_shapes()

    made = module.tables()

    assert made == {path.name: path.read_text() for path in module.FOLDER.glob("*.txt")}


def test_network_operations():
    """The convolutions and linear layers of a table have the multiply-adds of the network."""
    module = make_shapes()
    text = module.tables()["resnet18_batch1.txt"]

    total = 0
    for line in text.splitlines()[1:]:
        problem, remark = line.split("#")
        name, *numbers = problem.split()
        n = list(map(int, numbers))
        times = int(remark.split(",")[1].split()[0]) if "times" in remark else 1
        if name == "conv2d:forward":
            size = (n[1] + 2 * n[7] - n[5]) // n[6] + 1
            total += times * size * size * n[4] * n[3] * n[5] * n[5] // n[8]
        if name == "linear:forward":
            total += times * n[1] * n[2]

    assert total == module.models.resnet18(rng=0).summary((1, 224, 224, 3)).multiply_adds
