"""What the benchmarks against other libraries share: contestants that take turns, and tables.

Every contestant lives in a process of its own, so that no two thread pools wait for work beside
each other: a process that is not asked sleeps in a pipe, and its idle workers follow it some
milliseconds later, which the next one waits for. A round gives each contestant in turn a burst of
calls, of which the least time counts; the ratio of two is the median over rounds of the ratios
within a round. Rounds in which processes that do not belong to the benchmark used more than 6 % of
the CPUs are repeated.
"""

import argparse
import contextlib
import gc
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import time
import traceback
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
CVLBENCH = FOLDER.parent / "build" / "benchmarks" / "cvlbench"
FOREIGN_SHARE = 0.06
ATTEMPTS = 4  # per round that is asked for
PAUSE = 0.3  # seconds before another attempt
ASLEEP = 0.02  # seconds before a burst, in which the other team stops spinning and falls asleep
COLUMNS = {"ours": 9, "theirs": 9, "configuration": 24, "ratio": 6, "min/min": 7}

# Without these glibc gives large blocks back to the kernel when they die, and PyTorch, which
# allocates each result, would pay for fresh pages in every call: up to 1.7 times.
KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": "8000000000", "MALLOC_TRIM_THRESHOLD_": "16000000000"}

# What holds a contestant to a level below the CPU's; ONNX Runtime cannot be held.
LEVELS = {
    "avx2": {
        "CONVLET_ISA": "avx2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    }
}

PAGE = 4096


def normal(generator, shape):
    """Random float32 numbers that begin on a page, as what one layer hands the next does.

    NumPy's own large arrays begin 16 bytes past one, and each vector of theirs lies in two lines of
    the caches.
    """
    numbers = generator.standard_normal(shape, dtype=np.float32)
    memory = np.empty(numbers.nbytes + PAGE, np.uint8)
    start = -memory.ctypes.data % PAGE
    array = memory[start : start + numbers.nbytes].view(np.float32).reshape(numbers.shape)
    array[...] = numbers
    return array


class Worker:
    """What lives in the process of a contestant: functions without arguments, by name."""

    def __init__(self):
        self.calls = {}

    def run(self, name):
        """Call once."""
        self.calls[name]()

    def peak(self):
        """Return the largest resident memory of the process so far, in megabytes."""
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def burst(self, name, seconds):
        """Return the least time of one call in a burst that lasts so many seconds."""
        return min(self.times(name, seconds))

    def times(self, name, seconds):
        """Return the time of each call in a burst, two calls at least."""
        call, times = self.calls[name], []
        gc.collect()
        gc.disable()
        time.sleep(ASLEEP)
        warm = time.perf_counter() + seconds / 4
        while time.perf_counter() < warm:
            call()
        start = time.perf_counter()
        end = start + seconds
        while start < end or len(times) < 2:
            call()
            stop = time.perf_counter()
            times.append(stop - start)
            start = stop
        gc.enable()
        return times


class Convlet(Worker):
    """A worker that imports convlet; CONVLET_NUM_THREADS tells it how many threads to use."""

    def version(self):
        """Return what is measured."""
        import convlet

        return f"convlet {convlet.__version__}, {convlet.show_config('dicts')['isa']}"


class Torch(Worker):
    """A worker that imports PyTorch; OMP_NUM_THREADS tells it how many threads to use."""

    def version(self):
        """Return what is measured."""
        import torch

        return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability().lower()}"


class Player:
    """A process that makes a Worker and calls its methods on request.

    Parameters
    ----------
    make : class or function at the top of a module, called in the new process
    *arguments : what it is called with
    environment : dict of variables that the process begins with
    """

    def __init__(self, make, *arguments, environment=None):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        saved = dict(os.environ)
        os.environ.update(environment or {})
        try:
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(saved)
        theirs.close()
        self.pid = self._process.pid

    def __call__(self, method, *arguments):
        """Return what the method of the worker returns, or raise what it raises."""
        self._pipe.send((method, arguments))
        good, result = self._pipe.recv()
        if not good:
            raise RuntimeError(f"in the process of a contestant:\n{result}")
        return result

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join()


def _serve(pipe, make, arguments):
    worker, trouble = None, None
    try:
        worker = make(*arguments)
    except Exception:
        trouble = traceback.format_exc()
    while (message := pipe.recv()) is not None:
        method, arguments = message
        try:
            if trouble:
                raise RuntimeError(trouble)
            answer = True, getattr(worker, method)(*arguments)
        except Exception:
            answer = False, traceback.format_exc()
        pipe.send(answer)


class Neighbours:
    """How much of the CPUs other processes use, from /proc; nothing is seen where there is none."""

    def __init__(self, players):
        self._pids = [os.getpid(), *(player.pid for player in players)]
        self.start()

    def start(self):
        """Begin to count."""
        self._since = self._used()

    def share(self):
        """Share of all CPUs that others have used since the start."""
        now, since = self._used(), self._since
        if now is None:
            return 0.0
        foreign, total = (a - b for a, b in zip(now, since, strict=True))
        return foreign / total if total > 0 else 0.0

    def _used(self):
        try:
            ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
            own = 0
            for pid in self._pids:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                own += int(fields[11]) + int(fields[12])
        except OSError:
            return None
        idle = ticks[3] + ticks[4]  # and waiting for a disk
        return sum(ticks) - idle - own, sum(ticks)


class Match:
    """Times of contestants that take turns.

    Parameters
    ----------
    ours : (player, name of the call)
    theirs : dict from labels to (player, name of the call)
    options : what `parse` returned

    Attributes
    ----------
    ours : list of our least times, in seconds, one a round
    theirs : dict of such lists
    repeated, noisy : rounds that were repeated, and that stayed noisy all the same
    """

    def __init__(self, ours, theirs, options):
        order = {"": ours, **theirs}
        times = {label: [] for label in order}
        self.repeated = self.noisy = 0
        players = dict.fromkeys(player for player, _ in order.values())
        neighbours = Neighbours(players)
        attempts = ATTEMPTS * options.rounds
        for i in range(options.rounds):
            while True:
                neighbours.start()
                taken = {}
                for label in list(order) if i % 2 == 0 else reversed(order):
                    player, name = order[label]
                    taken[label] = player("burst", name, options.burst)
                attempts -= 1
                quiet = neighbours.share() <= FOREIGN_SHARE
                if quiet or attempts < options.rounds - i:
                    break
                self.repeated += 1
                time.sleep(PAUSE)
            self.noisy += not quiet
            for label, seconds in taken.items():
                times[label].append(seconds)
        self.ours = times.pop("")
        self.theirs = times

    def ratios(self, *labels):
        """Their best time over ours, of those labels or of all, a round each."""
        rivals = [self.theirs[label] for label in labels or self.theirs]
        best = map(min, zip(*rivals, strict=True))
        return [a / b for a, b in zip(best, self.ours, strict=True)]

    def ratio(self, *labels):
        """Median over rounds of `ratios`."""
        return statistics.median(self.ratios(*labels))

    def least_ratio(self, *labels):
        """Their least time of all rounds over ours."""
        return min(min(self.theirs[label]) for label in labels or self.theirs) / min(self.ours)

    def best_label(self):
        """Who of them was fastest."""
        return min(self.theirs, key=lambda label: min(self.theirs[label]))

    def cells(self, unit=1e-6, digits=1):
        """Cells of a table: `COLUMNS`, times in this unit, ? where rounds stayed noisy."""
        times = min(self.ours), min(map(min, self.theirs.values()))
        cells = [f"{seconds / unit:.{digits}f}" for seconds in times]
        doubt = "?" if self.noisy else ""
        ratios = f"{self.ratio():.2f}{doubt}", f"{self.least_ratio():.2f}"
        return [*cells, self.best_label(), *ratios]

    def spread(self):
        """Median over rounds of our time over our least time: the noise of this match."""
        return statistics.median(self.ours) / min(self.ours)


def geometric_mean(ratios):
    """Geometric mean of positive numbers."""
    return math.exp(statistics.fmean(map(math.log, ratios)))


class Table:
    """Rows of cells, aligned or as Markdown, printed as they come.

    Parameters
    ----------
    columns : dict from titles to widths; the first column is text
    markdown : whether to write Markdown
    """

    def __init__(self, columns, markdown):
        self._widths, self._markdown = list(columns.values()), markdown
        self.row(*columns)
        if markdown:
            print("|" + "|".join(["---", *["---:"] * (len(columns) - 1)]) + "|")

    def row(self, *cells):
        """Print a row."""
        cells = list(map(str, cells))
        if self._markdown:
            print("| " + " | ".join(cells) + " |", flush=True)
            return
        first, *others = zip(cells, self._widths, strict=True)
        line = first[0].ljust(first[1]) + "".join(f" {cell:>{width}}" for cell, width in others)
        print(line.rstrip(), flush=True)


def options(description):
    """Return a parser with the options that all benchmarks against peers have."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--isa", choices=LEVELS, help="the most that all may use")
    parser.add_argument("--quick", action="store_true", help="short and few: does it work?")
    parser.add_argument("--markdown", action="store_true", help="tables for the documentation")
    return parser


def match_options(description, *, rounds=7, burst=0.1):
    """Return a parser with the options of benchmarks that are a table of matches."""
    parser = options(description)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"per row; {rounds}")
    parser.add_argument("--burst", type=float, default=burst, help=f"seconds of a burst; {burst}")
    parser.add_argument("--only", default="", help="the rows whose name holds this text")
    return parser


def parse(parser):
    """Return the options of the command line."""
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.burst = 2, 0.01
    return chosen


def environment(options):
    """Variables for the process of a contestant: threads and level, come what may.

    Threads are bound to cores: otherwise a kernel may wake a worker on its master's core, where
    each waits for the other's slice of the time to end, for a whole burst.
    """
    threads = str(options.threads)
    fixed = {
        "OMP_NUM_THREADS": threads,
        "OMP_PROC_BIND": "close",
        "CONVLET_NUM_THREADS": threads,
        "CONVLET_ADAPTIVE": "0",
    }
    return fixed | LEVELS.get(options.isa, {})


def machine(options, program=CVLBENCH):
    """The limits of this machine as cvlbench measures them, or None where it has not been built."""
    if not Path(program).is_file():
        return None
    command = [program, "--json", "--threads", str(options.threads)]
    command += ["--isa", options.isa] if options.isa else []
    measured = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(measured)["runs"][0]


def cpu():
    """Return what this CPU calls itself."""
    for line in Path("/proc/cpuinfo").read_text().split("\n"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "an unknown CPU"


def description(options, *parts):
    """Return what figures are measured on: the CPU, the threads, and the parts given."""
    return "; ".join([f"{cpu()}, {options.threads} threads", *parts])


def heading(options, *parts):
    """Print `description`."""
    print(description(options, *parts) + "\n", flush=True)
