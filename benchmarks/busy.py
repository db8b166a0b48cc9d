"""Time training steps on a quiet machine and beside other busy processes, and PyTorch's likewise.

    pip install ".[bench]" && python benchmarks/busy.py [--model resnet20] [--batch 32] [--busy 1]

Every contestant trains in a process of its own, first alone, then beside `--busy` processes that
spin. Prints milliseconds a step, median, mean and 90th percentile, and the mean over that of the
quiet machine. "adaptive" is convlet as it comes, "fixed" has CONVLET_ADAPTIVE=0.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time

SPIN = "print(flush=True)\nwhile True: pass"
SHAPES = {"digits": (8, 8, 1), "lenet": (28, 28, 1), "resnet20": (32, 32, 3)}


def convlet_step(name, batch):
    """Return a function that takes one step."""
    import numpy as np

    import convlet as cl

    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((batch, *SHAPES[name]), np.float32), np.arange(batch) % 10
    model = getattr(cl.models, name)(rng=0)
    optimizer = cl.Adam(model.parameters())

    def step():
        logits, pullback = model.vjp(x, input_grad=False)
        pullback(cl.softmax_cross_entropy(logits, labels)[1])
        optimizer.step()
        optimizer.zero_grad()

    return step


def torch_step(name, batch):
    """The same with PyTorch, channels last."""
    import torch
    from torch import nn

    def conv(c, oc, stride=1, size=3):
        return nn.Conv2d(c, oc, size, stride, size // 2, bias=False)

    class Block(nn.Module):
        def __init__(self, c, oc, stride):
            super().__init__()
            self.body = nn.Sequential(
                conv(c, oc, stride), nn.BatchNorm2d(oc), nn.ReLU(), conv(oc, oc), nn.BatchNorm2d(oc)
            )
            same = c == oc and stride == 1
            short = nn.Sequential(conv(c, oc, stride, 1), nn.BatchNorm2d(oc))
            self.short = nn.Identity() if same else short

        def forward(self, x):
            return torch.relu(self.body(x) + self.short(x))

    head = [conv(3, 16), nn.BatchNorm2d(16), nn.ReLU()]
    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    blocks = [Block(c, oc, 1 if c == oc else 2) for c, oc in itertools.pairwise(widths)]
    tails = {
        "resnet20": [*head, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)],
        "digits": [
            *(conv(1, 16), nn.BatchNorm2d(16), nn.ReLU()),
            *(conv(16, 32), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10)),
        ],
        "lenet": [
            *(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)),
        ],
    }
    torch.set_num_threads(int(os.environ["CONVLET_NUM_THREADS"]))
    h, w, c = SHAPES[name]
    last = {"memory_format": torch.channels_last}
    x = torch.randn(batch, c, h, w).contiguous(**last)
    labels = torch.arange(batch) % 10
    model = nn.Sequential(*tails[name]).to(**last)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step


def measure(step, seconds):
    """Milliseconds of each step, after a few to warm up."""
    times, end = [], time.perf_counter() + seconds
    for _ in range(5):
        step()
    while time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return times


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=SHAPES, default="resnet20")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--busy", type=int, default=1, help="competing processes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    parser.add_argument("--child", choices=("convlet", "torch"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        make = convlet_step if given.child == "convlet" else torch_step
        print(json.dumps(measure(make(given.model, given.batch), given.seconds)))
        return
    print(f"{given.model}, batch {given.batch}, ms a step; slowdown: mean over the quiet mean")
    print(f"{'':26} {'median':>8} {'mean':>8} {'p90':>8} {'slowdown':>9}")
    contestants = [
        ("adaptive", "convlet", given.threads, "1"),
        ("fixed", "convlet", given.threads, "0"),
        ("one thread", "convlet", 1, "0"),
        ("PyTorch", "torch", given.threads, "0"),
    ]
    for name, child, threads, adaptive in contestants:
        quiet = None
        for count in (0, given.busy):
            with competitors(count):
                done = subprocess.run(
                    [sys.executable, __file__, *sys.argv[1:], "--child", child],
                    env=os.environ
                    | {"CONVLET_ADAPTIVE": adaptive, "CONVLET_NUM_THREADS": str(threads)},
                    check=True,
                    stdout=subprocess.PIPE,
                )
            times = json.loads(done.stdout)
            mean, p90 = statistics.fmean(times), statistics.quantiles(times, n=10)[-1]
            quiet = quiet or mean
            print(
                f"{name:14} {f'{count} busy':>11} {statistics.median(times):8.2f} {mean:8.2f} "
                f"{p90:8.2f} {mean / quiet:8.2f}x",
                flush=True,
            )


if __name__ == "__main__":
    main()
