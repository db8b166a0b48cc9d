"""What holds for every test: workers that wait do not spin; a generator with a fixed seed.

Tests start many small regions, processes and threads side by side. OpenMP's workers spin between
regions by default, which takes the cores from one another. The runtime reads this when it is
loaded, so it stands before any import of convlet.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest


@pytest.fixture
def rng():
    """A generator with a fixed seed, so that a failure can be repeated."""
    return np.random.default_rng(20240607)
