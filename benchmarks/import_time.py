"""Time `import convlet` beside `import numpy`, each in fresh processes that take turns.

    pip install . && python benchmarks/import_time.py [--rounds 40]

A process imports NumPy and then convlet, and times both. Prints the median of each and the median
of the ratios.
"""

import argparse
import statistics
import subprocess
import sys

PROGRAM = """
import time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import convlet
print(middle - start, time.perf_counter() - middle)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    command = [sys.executable, "-c", PROGRAM]
    subprocess.run(command, check=True, capture_output=True)  # writes the bytecode caches
    pairs = []
    for _ in range(rounds):
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        pairs.append(tuple(map(float, output.split())))
    numpy_ms, convlet_ms = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
    added = statistics.median(ours / theirs for theirs, ours in pairs)
    print(f"numpy {numpy_ms:.1f} ms, convlet adds {convlet_ms:.1f} ms, {added:.1%} (median)")


if __name__ == "__main__":
    main()
