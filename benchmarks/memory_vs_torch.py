"""Compare the memory of training steps of ResNet-20 with PyTorch's.

    pip install ".[bench]" && python benchmarks/memory_vs_torch.py [--batch 128] [...]

Each contestant runs in a fresh process: the peak of its resident memory during five steps, less
what it had just before the first of them. PyTorch comes in both formats, with the allocator as it
is and with the variables that `steps_vs_torch.py` times it with, which keep its pages; the time is
that of the same steps in the same process. Linux only.
"""

import time
from pathlib import Path

import training
import turns

STEPS = 5


class Measured:
    """What a worker of `training` adds to measure its steps."""

    def measure(self, call):
        """Return megabytes at the peak beyond those before, and the least time of a step."""
        before = _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        times = []
        for _ in range(STEPS):
            start = time.perf_counter()
            self.calls[call]()
            times.append(time.perf_counter() - start)
        return _resident("VmHWM") - before, min(times)


def _resident(field):
    """Megabytes of a field of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


class Ours(Measured, training.Ours):
    """Convlet's side."""


class Torch(Measured, training.Torch):
    """PyTorch's side."""


def main():
    parser = turns.options(__doc__)
    parser.add_argument("--batch", type=int, default=128)
    options = turns.parse(parser)
    shape = options.batch, 32, 32, 3
    environment = turns.environment(options)
    turns.heading(options, f"ResNet-20, batch {options.batch}")
    columns = {"configuration": 32, "MB": 7, "ours of it": 10, "step, ms": 9}
    table = turns.Table(columns, options.markdown)

    def row(label, megabytes, seconds):
        table.row(label, f"{megabytes:.0f}", f"{ours / megabytes:.0%}", f"{seconds * 1e3:.1f}")

    with turns.Player(Ours, environment=environment) as player:
        values = player("prepare", "resnet20", shape)
        ours, seconds = player("measure", "step")
        row("convlet", ours, seconds)
    for memory_format in training.FORMATS:
        for suffix, variables in {"": {}, ", pages kept": turns.KEEP_PAGES}.items():
            with turns.Player(Torch, environment=environment | variables) as player:
                player("prepare", "resnet20", shape, values, False, [memory_format])
                row(f"torch {memory_format}{suffix}", *player("measure", f"step {memory_format}"))


if __name__ == "__main__":
    main()
