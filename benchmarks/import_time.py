"""Time `import convlet` beside `import numpy`, each in fresh processes that take turns.

    pip install . && python benchmarks/import_time.py [--rounds 40] [--python FILE] [--most RATIO]

A process imports NumPy and then convlet, and times both. Prints the median of each and the median
of the ratios; with --most it fails where that is larger.
"""

import argparse
import statistics
import subprocess
import sys

PROGRAM = """
import importlib, sys, time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
importlib.import_module(sys.argv[1])
print(middle - start, time.perf_counter() - middle)
"""


def measure(module, python=sys.executable):
    """Seconds of the import of NumPy, and then of the module, in a fresh process."""
    command = [python, "-c", PROGRAM, module]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(map(float, output.split()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--python", default=sys.executable, help="the one convlet is installed in")
    parser.add_argument("--most", type=float, metavar="RATIO", help="convlet's time over NumPy's")
    options = parser.parse_args()
    measure("convlet", options.python)  # writes the bytecode caches
    pairs = [measure("convlet", options.python) for _ in range(options.rounds)]
    numpy_ms, convlet_ms = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
    added = statistics.median(ours / theirs for theirs, ours in pairs)
    print(f"numpy {numpy_ms:.1f} ms, convlet adds {convlet_ms:.1f} ms, {added:.1%} (median)")
    if options.most is not None and added > options.most:
        raise SystemExit(f"more than {options.most:.1%}")


if __name__ == "__main__":
    main()
