"""What it takes to have a library and to start it: size, import, memory, the first trained batch.

Functions for `peers.py`, each of one library, named as it is imported.
"""

import importlib.metadata
import time

import import_time
import jax_workers
import training
import turns

# The class of a worker, and the call that takes a step: of PyTorch the format it runs fastest in.
STEPS = {
    "convlet": (training.Ours, "step"),
    "torch": (training.Torch, "step channels_last"),
    "jax": (jax_workers.Steps, "step"),
}
MODULES = {"sklearn": "sklearn.neural_network"}  # what has to be imported, where it is not the name


def installed_size(library):
    """Bytes of the files of a library and of all it needs, save NumPy."""
    names = importlib.metadata.packages_distributions()[library]
    needed, size = set(), 0
    while names:
        name = names.pop().lower().replace("_", "-")
        if name == "numpy" or name in needed:
            continue
        needed.add(name)
        distribution = importlib.metadata.distribution(name)
        names += _requirements(distribution)
        for file in distribution.files or ():
            path = file.locate()
            size += path.stat().st_size if path.is_file() else 0
    return size


def _requirements(distribution):
    from packaging.requirements import Requirement

    parsed = map(Requirement, distribution.requires or ())
    return [r.name for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]


def import_seconds(library):
    """Seconds of the import in a fresh process that has imported NumPy."""
    return import_time.measure(MODULES.get(library, library))[1]


def _player(library, options, network, shape, values):
    make, call = STEPS[library]
    environment = turns.environment(options)
    arguments = [options.threads] if library == "jax" else []
    player = turns.Player(make, *arguments, environment=environment)
    given = {"convlet": (), "torch": (values, False, ["channels_last"]), "jax": (values,)}
    player("prepare", network, shape, *given[library])
    player("run", call)
    return player, call


def first_batch(library, options, values):
    """Seconds from the start of a process to the end of the first step of the digits network."""
    start = time.perf_counter()
    player, _ = _player(library, options, "digits", (32, 8, 8, 1), values)
    seconds = time.perf_counter() - start
    with player:
        return seconds


def peak_memory(library, options, values):
    """Megabytes that a process has at its peak in five steps of ResNet-20 at batch 128."""
    player, call = _player(library, options, "resnet20", (128, 32, 32, 3), values)
    with player:
        for _ in range(4):
            player("run", call)
        return player("peak")
