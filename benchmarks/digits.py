"""Run `convlet train digits` with the defaults over seeds 0 to 4.

    pip install ".[train]" && python benchmarks/digits.py [options of convlet train digits]

Prints seconds and test accuracy of each run, and the median and the lowest accuracy.
"""

import statistics
import subprocess
import sys
import time

SEEDS = range(5)


def main():
    accuracies = []
    for seed in SEEDS:
        command = [sys.executable, "-m", "convlet", "train", "digits", "--seed", str(seed)]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, *sys.argv[1:]], check=True, stdout=subprocess.PIPE, text=True
        )
        accuracies.append(float(done.stdout.split()[-1]))
        print(f"seed {seed}: {time.perf_counter() - start:.1f} s, accuracy {accuracies[-1]:.4f}")
    print(f"median {statistics.median(accuracies):.4f}, lowest {min(accuracies):.4f}")


if __name__ == "__main__":
    main()
