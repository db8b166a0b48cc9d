"""Time the three passes of a convolution against PyTorch, on the same arrays in one process.

    pip install ".[bench]" && python benchmarks/conv2d.py [--threads 2] [--rounds 20]

Each round runs PyTorch (channels_last) and convlet in turn, so that both start from caches the
other has used. A row gives, per pass, the best times and the median over the rounds of PyTorch's
time over ours: above 1, convlet is faster. PyTorch is imported first, so that both share one OpenMP
runtime. Results are compared before anything is timed.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

import convlet as cl  # isort: skip  (after torch: one OpenMP runtime for both)
import numpy as np

PASSES = ("forward", "backward data", "backward weights")


def shapes():
    """Rows of the shape table: (N, H, W, C, OC, K, S, P)."""
    for line in (Path(__file__).parent / "shapes" / "conv2d.txt").read_text().splitlines():
        numbers = line.partition("#")[0].split()
        if numbers:
            yield tuple(map(int, numbers))


def contestants(shape):
    """Per pass a pair of functions without arguments, PyTorch's and ours, both returning NHWC."""
    n, h, w, c, oc, k, s, p = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, h, w, c), dtype=np.float32)
    weight = rng.standard_normal((k, k, c, oc), dtype=np.float32)
    dy = rng.standard_normal(cl.ops.conv2d(x, weight, stride=s, padding=p).shape, dtype=np.float32)
    nchw = [torch.from_numpy(a.transpose(0, 3, 1, 2)) for a in (x, dy)]
    oihw = torch.from_numpy(np.ascontiguousarray(weight.transpose(3, 2, 0, 1)))
    oihw = oihw.to(memory_format=torch.channels_last)

    def torch_backward(which):
        return torch.ops.aten.convolution_backward(
            nchw[1], nchw[0], oihw, None, [s, s], [p, p], [1, 1], False, [0, 0], 1, which
        )

    def ours_backward(which):
        return cl.ops.conv2d_backward(dy, x, weight, stride=s, padding=p, needs=which)

    nhwc, hwio = (0, 2, 3, 1), (2, 3, 1, 0)
    return (
        (
            lambda: torch.conv2d(nchw[0], oihw, stride=s, padding=p).numpy().transpose(nhwc),
            lambda: cl.ops.conv2d(x, weight, stride=s, padding=p),
        ),
        (
            lambda: torch_backward([True, False, False])[0].numpy().transpose(nhwc),
            lambda: ours_backward((True, False, False))[0],
        ),
        (
            lambda: torch_backward([False, True, False])[1].numpy().transpose(hwio),
            lambda: ours_backward((False, True, False))[1],
        ),
    )


def seconds(function):
    """Seconds one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=cl.get_num_threads())
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'N,H,W,C,OC,K,S,P':32}" + "".join(f"{name:>30}" for name in PASSES))
    with torch.no_grad(), cl.num_threads(arguments.threads), cl.options(adaptive=False):
        for shape in shapes():
            row = f"{','.join(map(str, shape)):32}"
            for theirs, ours in contestants(shape):
                expected = theirs()
                np.testing.assert_allclose(ours(), expected, atol=1e-4 * expected.std(), rtol=1e-3)
                times = [(seconds(theirs), seconds(ours)) for _ in range(arguments.rounds)]
                best = [min(column) * 1e6 for column in zip(*times, strict=True)]
                ratio = statistics.median(a / b for a, b in times)
                row += f"{best[0]:10.0f} /{best[1]:7.0f} us {ratio:7.2f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
