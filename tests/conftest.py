"""What holds for every test: workers that wait do not spin, teams are whole; a seeded generator.

Tests start many small regions, processes and threads side by side. OpenMP's workers spin between
regions by default, which takes the cores from one another. The runtime reads this when it is
loaded, so it stands before any import of convlet. Adaptive teams would do on one thread what is to
be tested on three.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("CONVLET_ADAPTIVE", "0")

import numpy as np
import pytest


@pytest.fixture
def rng():
    """A generator with a fixed seed, so that a failure can be repeated."""
    return np.random.default_rng(20240607)
