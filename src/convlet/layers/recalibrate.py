"""Statistics of batch norms over a whole data set."""

from __future__ import annotations

import numpy as np


class BatchMoments:
    """The mean and biased variance (2, C) of a batch, and the commit that takes them in.

    Raises
    ------
    FloatingPointError : the statistics that the layer would keep are not finite.
    """

    def __init__(self, layer, statistics, values):
        self.layer, self.statistics, self.values = layer, statistics, values
        self._before, self._next = layer.running_mean, layer._moved(statistics, values)

    def __call__(self):
        """Move the running statistics of the layer, from where they are by now."""
        if self.layer.running_mean is not self._before:
            self._next = self.layer._moved(self.statistics, self.values)
        self.layer._commit(self._next)


class Population:
    """The moments of all batches that reached a layer, merged in order in double."""

    def __init__(self, layer):
        self.layer, self.batches, self.values, self.mean, self.squares = layer, 0, 0, 0.0, 0.0

    def add(self, batch):
        """Merge the moments of a batch."""
        values = self.values + batch.values
        mean, var = batch.statistics
        delta = mean - self.mean
        self.mean = self.mean + delta * (batch.values / values)
        self.squares = self.squares + var * batch.values
        self.squares += delta * delta * (self.values * batch.values / values)
        self.values = values
        self.batches += 1

    def kept(self):
        """The running statistics that the layer gets."""
        return self.layer._kept(np.array((self.mean, self.squares / self.values)), self.values)


def recalibrate(layer, data):
    """`Layer.recalibrate`."""
    populations, batches = {}, 0
    for batch in [data] if isinstance(data, np.ndarray) else data:
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        batches += 1
        for moments in _moments(layer, x):
            norm = moments.layer
            populations.setdefault(id(norm), Population(norm)).add(moments)
    if not batches:
        raise ValueError(f"{layer._label()}: recalibrate needs at least one batch, got none")
    if not populations:
        raise ValueError(
            f"{layer._label()}: no batch norm here has running statistics to recalibrate; one that "
            f"is frozen keeps its own: unfreeze() it first"
        )
    found = [(p, p.kept()) for p in populations.values()]
    for population, (mean, var) in found:
        norm = population.layer
        norm.running_mean, norm.running_var, norm.count = mean, var, population.batches


def _moments(layer, x):
    """The batch moments that the batch norms inside see at the training door."""
    commits = layer._train(x, False).commits
    return [c for c in commits if isinstance(c, BatchMoments) and c.layer.track_running_stats]
