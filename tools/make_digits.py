"""Make the two IDX files of convlet.data.digits from scikit-learn's copy of the UCI digits.

    python tools/make_digits.py [FOLDER]

needs scikit-learn and NumPy; FOLDER is src/convlet/data unless given. The files are the same
bytes every time: tests/test_data.py holds their checksums.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

DATA = Path(__file__).resolve().parent.parent / "src" / "convlet" / "data"


def load_idx_module():
    """Return src/convlet/data/idx.py as a module, so that convlet need not be built first."""
    spec = importlib.util.spec_from_file_location("convlet_idx", DATA / "idx.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_bytes(values: np.ndarray, largest: int) -> np.ndarray:
    """Return values as uint8, refusing anything that is no integer from 0 to largest."""
    converted = values.astype(np.uint8)
    if not np.array_equal(converted, values) or converted.max() > largest:
        raise ValueError(f"expected integers from 0 to {largest}")
    return converted


def main() -> None:
    """Write both files, read them back, and print their checksums."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    digits = load_digits()
    idx = load_idx_module()
    for name, values in (
        ("digits-images.idx3-ubyte", as_bytes(digits.images, 16)),
        ("digits-labels.idx1-ubyte", as_bytes(digits.target, 9)),
    ):
        path = folder / name
        idx.write_idx(path, values)
        if not np.array_equal(idx.read_idx(path), values):
            raise RuntimeError(f"{path} does not read back as it was written")
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}  {values.shape}")


if __name__ == "__main__":
    main()
