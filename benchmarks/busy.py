"""Time training steps on a quiet machine and beside other busy processes, and PyTorch's likewise.

    pip install ".[bench]" && python benchmarks/busy.py [--model resnet20] [--batch 32] [--busy 1]

Every contestant trains in a process of its own, first alone, then beside `--busy` processes that
spin. Prints milliseconds a step, median, mean and 90th percentile, and the mean over that of the
quiet machine. "adaptive" is convlet as it comes, "fixed" has CONVLET_ADAPTIVE=0.
"""

import contextlib
import statistics
import subprocess
import sys

import training
import turns

SPIN = "print(flush=True)\nwhile True: pass"
SHAPES = {"digits": (8, 8, 1), "lenet": (28, 28, 1), "resnet20": (32, 32, 3)}


@contextlib.contextmanager
def competitors(count):
    """Keep that many processes spinning."""
    busy = [
        subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE) for _ in range(count)
    ]
    try:
        for process in busy:
            process.stdout.readline()
        yield
    finally:
        for process in busy:
            process.kill()
            process.communicate()


def main():
    parser = turns.options(__doc__)
    parser.add_argument("--model", choices=SHAPES, default="resnet20")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--busy", type=int, default=1, help="competing processes")
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    options = turns.parse(parser)
    shape = options.batch, *SHAPES[options.model]
    fixed = turns.environment(options) | {"OMP_PROC_BIND": "false"}  # threads may dodge others
    one = fixed | {"OMP_NUM_THREADS": "1", "CONVLET_NUM_THREADS": "1"}
    contestants = {
        "adaptive": (training.Ours, fixed | {"CONVLET_ADAPTIVE": "1"}, "step"),
        "fixed": (training.Ours, fixed, "step"),
        "one thread": (training.Ours, one, "step"),
        "PyTorch": (training.Torch, fixed | turns.KEEP_PAGES, "step channels_last"),
    }
    turns.heading(options, f"{options.model}, batch {options.batch}")
    columns = {"ms a step": 14, "beside": 7, "median": 8, "mean": 8, "p90": 8, "slowdown": 9}
    table = turns.Table(columns, options.markdown)
    values = None
    for name, (make, environment, call) in contestants.items():
        with turns.Player(make, environment=environment) as player:
            if make is training.Ours:
                values = player("prepare", options.model, shape)
            else:
                player("prepare", options.model, shape, values, False, ["channels_last"])
            quiet = None
            for count in (0, options.busy):
                with competitors(count):
                    times = player("times", call, 0.1 if options.quick else options.seconds)
                mean, p90 = statistics.fmean(times), statistics.quantiles(times, n=10)[-1]
                quiet = quiet or mean
                cells = [
                    f"{seconds * 1e3:.2f}" for seconds in (statistics.median(times), mean, p90)
                ]
                table.row(name, f"{count} busy", *cells, f"{mean / quiet:.2f}x")


if __name__ == "__main__":
    main()
