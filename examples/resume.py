"""Training that may be stopped at any moment and goes on from the last epoch, to the same bits.

    python examples/resume.py checkpoint.npz --epochs 6

The file holds all that training depends on: weights, running statistics and the dropout's counter,
the optimizer's moments and step, the epoch. The order of an epoch's batches is drawn from its
number, so no generator has to be kept. Threads and CPU may be others afterwards.
"""

import argparse
import os
from pathlib import Path

import numpy as np

import convlet as cl
from convlet import data, training

SEED = 0


def build():
    """Return a model and its optimizer as they begin."""
    model = cl.Sequential(
        *(cl.Conv2d(1, 16, 3, padding="same", use_bias=False), cl.BatchNorm(16), cl.ReLU()),
        *(cl.MaxPool2d(2), cl.Flatten(), cl.Dropout(0.25), cl.Linear(16 * 4 * 4, 10)),
        rng=SEED,
    )
    rate = cl.schedules.warm_up(cl.schedules.inverse_sqrt(1e-2, 100), steps=50)
    return model, cl.AdamW(model.parameters(), lr=rate)


def save(path, **parts):
    """Write states into one file, which takes the place of the one before when it is whole."""
    arrays = {
        f"{part}.{key}": value for part, state in parts.items() for key, value in state.items()
    }
    new = path.with_name(f"{path.name}.new")
    with open(new, "wb") as file:
        np.savez(file, **arrays)
    os.replace(new, path)


def load(path):
    """Return the states of a file, by their part."""
    parts = {}
    with np.load(path) as file:
        for name in file:
            part, _, key = name.partition(".")
            parts.setdefault(part, {})[key] = file[name]
    return parts


def main():
    """Train up to an epoch, from wherever the file has got."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    (x, y), (x_test, y_test) = data.digits()
    model, optimizer = build()
    done = 0
    if options.checkpoint.exists():
        parts = load(options.checkpoint)
        model.load_state_dict(parts["model"])
        optimizer.load_state_dict(parts["optimizer"])
        done = int(parts["progress"]["epochs"])
        print(f"going on after {done} epochs")

    for epoch in range(done + 1, options.epochs + 1):
        for images, labels in data.Batches(x, y, 32, rng=[SEED, epoch]):
            logits, pullback = model.vjp(images, input_grad=False)
            loss, dlogits = cl.softmax_cross_entropy(logits, labels)
            pullback(dlogits)
            optimizer.step(zero_grad=True, max_norm=1.0)
        states = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        save(options.checkpoint, **states, progress={"epochs": epoch})
        print(f"epoch {epoch}  last loss {loss:.4f}")

    print(f"weights sha256 {training.weights_sha256(model)}")
    print(f"test accuracy {training.evaluate(model, x_test, y_test):.4f}")


if __name__ == "__main__":
    main()
