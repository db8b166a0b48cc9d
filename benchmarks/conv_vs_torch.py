"""Time the three passes of a convolution against PyTorch, over the tables of shapes/.

    pip install ".[bench]" && python benchmarks/conv_vs_torch.py [--sets conv3x3,depthwise] [...]

A cell is one pass of one row of a table: ours against the better of PyTorch's two formats, NCHW and
channels_last, in processes that take turns (`turns.py`). Its ratio is the median over rounds of
PyTorch's time over ours: above 1, convlet is faster. Before anything is timed, our result must
agree with float64, within the bounds that the library documents; `rms` is our error over the worse
of PyTorch's two. GFLOP/s counts padding and is against our least time; `of peak` needs cvlbench,
from `meson setup build -Dpython=false && meson compile -C build`, or elsewhere by --cvlbench.
Convlet's time includes its checks in Python and an output from its block cache, and PyTorch's an
output that needs no fresh pages.
"""

import statistics

import numpy as np
import turns

PASSES = ("forward", "backward_data", "backward_weights")
SETS = (
    "conv3x3",
    "conv5x5",
    "conv_other",
    "grouped",
    "depthwise",
    "batch1_3x3",
    "batch1_other",
)
TORCH_AXES = (0, 3, 1, 2)  # of NHWC, in PyTorch's order
WEIGHT_AXES = (3, 2, 0, 1)  # of (KH, KW, C, OC)

# Largest and root mean square error over the standard deviation of the float64 result.
BOUNDS = {"im2col": (2e-5, 7e-7), "winograd2": (2e-5, 7e-7), "winograd": (5e-5, 2.5e-6)}


def rows(name):
    """Pairs of the numbers N H W C OC K S P G and what the table says of them."""
    for line in (turns.FOLDER / "shapes" / f"{name}.txt").read_text().splitlines():
        numbers, _, remark = line.partition("#")
        if numbers.split():
            yield tuple(map(int, numbers.split())), remark.strip()


def output_shape(row):
    """Return (N, OH, OW, OC)."""
    n, h, w, _, oc, k, s, p, _ = row
    return n, (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1, oc


def arrays(row):
    """x, w and dy, the same in every process."""
    n, h, w, c, oc, k, _, _, groups = row
    rng = np.random.default_rng(0)
    shapes = (n, h, w, c), (k, k, c // groups, oc), output_shape(row)
    return [turns.normal(rng, shape) for shape in shapes]


class Ours(turns.Convlet):
    """Convlet's side."""

    def prepare(self, row):
        """Make the calls of a row; return the algorithm of each pass."""
        import convlet as cl

        x, w, dy = arrays(row)
        stride, padding, groups = row[6:]
        where = {"stride": stride, "padding": padding, "groups": groups}

        def backward(i, *needs):
            return lambda: cl.ops.conv2d_backward(dy, x, w, needs=needs, **where)[i]

        self.calls = {
            "forward": lambda: cl.ops.conv2d(x, w, **where),
            "backward_data": backward(0, True, False, False),
            "backward_weights": backward(1, False, True, False),
        }
        return {
            name: cl.ops.conv2d_algorithm(x.shape, w.shape, direction=name, **where)["algorithm"]
            for name in PASSES
        }

    def result(self, name):
        """Return what a call returns."""
        return self.calls[name]()


class Torch(turns.Torch):
    """PyTorch's side."""

    def prepare(self, row):
        """Make the calls of a row, "<pass> <format>"."""
        import torch

        torch.set_grad_enabled(False)
        x, w, dy = arrays(row)
        axes = TORCH_AXES, WEIGHT_AXES, TORCH_AXES
        nchw = [torch.from_numpy(a).permute(b) for a, b in zip((x, w, dy), axes, strict=True)]
        formats = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
        self.calls = {}
        for label, memory in formats.items():
            operands = [a.contiguous(memory_format=memory) for a in nchw]
            for name, call in _torch_passes(row, *operands).items():
                self.calls[f"{name} {label}"] = call
        self._exact = _torch_passes(row, *(a.double().contiguous() for a in nchw))

    def errors(self, name, ours):
        """Return our largest and rms error, and PyTorch's worse rms, relative to float64's std."""
        exact = self._exact[name]().numpy()
        scale = exact.std() or 1.0

        def error(result):
            return np.abs(result.astype(np.float64) - exact) / scale

        axes = WEIGHT_AXES if name == "backward_weights" else TORCH_AXES
        our = error(ours.transpose(axes))
        theirs = [error(self.calls[f"{name} {f}"]().numpy()) for f in ("NCHW", "channels_last")]
        rms = [float(np.sqrt(np.mean(np.square(e)))) for e in (our, *theirs)]
        return float(our.max()), rms[0], max(rms[1:])


def _torch_passes(row, x, w, dy):
    import torch

    s, p, groups = row[6:]

    def backward(i):
        mask = [i == 0, i == 1, False]
        return lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, [s, s], [p, p], [1, 1], False, [0, 0], groups, mask
        )[i]

    return {
        "forward": lambda: torch.conv2d(x, w, stride=s, padding=p, groups=groups),
        "backward_data": backward(0),
        "backward_weights": backward(1),
    }


class Cell:
    """One pass of one row, checked and timed."""

    def __init__(self, name, algorithm, row, ours, torch, options):
        largest, rms, torch_rms = torch("errors", name, ours("result", name))
        if not largest < 1e-3:
            raise SystemExit(f"{row} {name}: wrong by {largest:.2g} standard deviations")
        most, most_rms = BOUNDS.get(algorithm, BOUNDS["im2col"])
        self.in_bounds = largest <= most and rms <= most_rms
        self.rms_ratio = rms / torch_rms if torch_rms else float(rms > 0)
        labels = {f: (torch, f"{name} {f}") for f in ("NCHW", "channels_last")}
        self.match = turns.Match((ours, name), labels, options)
        n, oh, ow, oc = output_shape(row)
        c, k, groups = row[3], row[5], row[8]
        self.gflops = 2e-9 * n * oh * ow * oc * (c // groups) * k * k / min(self.match.ours)


def compare(name, options, ours, torch, peak):
    """Print the table of a set and return its cells by what they are called."""
    columns = {name: 32, "pass": 16, "algorithm": 10, **turns.COLUMNS, "GFLOP/s": 8, "of peak": 7}
    table = turns.Table({**columns, "rms": 6}, options.markdown)
    cells = {}
    for row, remark in rows(name):
        shape = ",".join(map(str, row))
        if options.only not in f"{shape} {remark}":
            continue
        algorithms = ours("prepare", row)
        torch("prepare", row)
        for direction in options.passes:
            cell = Cell(direction, algorithms[direction], row, ours, torch, options)
            cells[f"{shape} {direction}"] = cell
            table.row(
                shape,
                direction,
                algorithms[direction],
                *cell.match.cells(),
                f"{cell.gflops:.1f}",
                f"{cell.gflops / peak:.1%}" if peak else "-",
                f"{cell.rms_ratio:.2f}" + ("" if cell.in_bounds else "!"),
            )
        if options.quick:
            break
    print()
    return cells


def summarise(results, options):
    """Print geometric mean and least ratio of each set, and how noisy it all was."""
    columns = {"set": 14, "cells": 5, "geometric mean": 14, "least": 6, "least cell": 48}
    table = turns.Table(columns, options.markdown)
    for name, cells in results.items():
        ratios = {cell: timed.match.ratio() for cell, timed in cells.items()}
        if ratios:
            least = min(ratios, key=ratios.get)
            mean = turns.geometric_mean(ratios.values())
            table.row(name, len(ratios), f"{mean:.2f}", f"{ratios[least]:.2f}", least)
    cells = [cell for group in results.values() for cell in group.values()]
    if cells:
        matches = [cell.match for cell in cells]
        spread = statistics.median(match.spread() for match in matches)
        repeated, noisy = (sum(getattr(m, a) for m in matches) for a in ("repeated", "noisy"))
        print(
            f"\nNoise: our median burst is {spread:.3f} times our least (median over cells); "
            f"{repeated} rounds repeated for busy neighbours, {noisy} kept in spite of them."
        )
        outside = sum(not cell.in_bounds for cell in cells)
        if outside:
            print(f"{outside} cells, marked !, are past the documented error.")


def main():
    parser = turns.match_options(__doc__)
    parser.add_argument("--sets", default=",".join(SETS), help=f"of {', '.join(SETS)}")
    parser.add_argument("--passes", default=",".join(PASSES), help=f"of {', '.join(PASSES)}")
    parser.add_argument("--cvlbench", default=turns.CVLBENCH, help="the built program")
    options = turns.parse(parser)
    options.passes = options.passes.split(",")
    machine = turns.machine(options, options.cvlbench)
    peak = machine["peak_gflops"] if machine else None
    environment = turns.environment(options)
    with (
        turns.Player(Ours, environment=environment) as ours,
        turns.Player(Torch, environment=environment | turns.KEEP_PAGES) as torch,
    ):
        versions = [player("version") for player in (ours, torch)]
        turns.heading(options, *versions, f"peak {peak} GFLOP/s" if peak else "peak not measured")
        results = {}
        for name in options.sets.split(","):
            results[name] = compare(name, options, ours, torch, peak)
        summarise(results, options)


if __name__ == "__main__":
    main()
