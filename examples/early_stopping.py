"""Training that ends when the test accuracy no longer rises, and keeps the best weights.

    python examples/early_stopping.py --patience 4

The images are shifted at random, the learning rate falls along a cosine, and the matrix printed
last says how often a digit (row) was taken for another (column).
"""

import argparse

import numpy as np

import convlet as cl
from convlet import data, models, training

EPOCHS, BATCH_SIZE = 40, 32


class EarlyStopping:
    """A callback for `training.fit`: prints a line an epoch, and remembers the best weights."""

    def __init__(self, model, patience):
        self.model, self.patience = model, patience
        self.best, self.epoch, self.state = -1.0, 0, model.state_dict()

    def __call__(self, reached):
        """Return whether the best epoch is too long ago."""
        if reached.test_accuracy is None:
            return False  # within an epoch
        print(f"epoch {reached.epoch}  loss {reached.loss:.4f}  test {reached.test_accuracy:.4f}")
        if reached.test_accuracy > self.best:
            self.best, self.epoch = reached.test_accuracy, reached.epoch
            self.state = self.model.state_dict()
        return reached.epoch - self.epoch >= self.patience


def main():
    """Train, go back to the best epoch, and count what is confused."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--patience", type=int, default=4, metavar="EPOCHS")
    options = parser.parse_args()
    (x, y), (x_test, y_test) = data.digits()
    model = models.digits(rng=0)
    steps = EPOCHS * len(data.Batches(x, y, BATCH_SIZE))
    optimizer = cl.AdamW(model.parameters(), lr=cl.schedules.cosine(1e-2, steps))
    stopping = EarlyStopping(model, options.patience)
    shifts = np.random.default_rng(1)
    training.fit(
        model,
        optimizer,
        x,
        y,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        rng=0,
        test=(x_test, y_test),
        progress=stopping,
        augment=lambda images: data.random_shift(images, 1, rng=shifts),
    )
    model.load_state_dict(stopping.state)

    confused = np.zeros((10, 10), int)
    np.add.at(confused, (y_test, model(x_test).argmax(axis=-1)), 1)
    print(confused)
    print(f"best epoch {stopping.epoch}")
    print(f"test accuracy {confused.trace() / len(y_test):.4f}")


if __name__ == "__main__":
    main()
