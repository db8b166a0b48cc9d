"""Hold convlet against PyTorch, JAX, ONNX Runtime and scikit-learn, whichever are installed.

    pip install ".[bench]" && python benchmarks/peers.py [--json FILE] [--readme README.md] [...]

Operations, training steps, inference, and what it takes to have and to start a library. Every
contestant lives in a process of its own and has the same arrays; what is timed must agree first,
and then they take turns (`turns.py`), since two thread pools in one process disturb each other.
Of PyTorch the best counts of NCHW and channels_last, eager and, with --compile, torch.compile.
A figure is the median over rounds of a peer's time, or size, over ours, with the quartiles; above
1, convlet is ahead. --sections takes some of ops, steps, inference, footprint; --readme rewrites
the table between the marks `<!-- peers -->` and `<!-- /peers -->` of a file.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import statistics
import tempfile
from pathlib import Path

import conv_vs_torch
import footprint
import inference_vs_peers
import jax_workers
import kernels_vs_torch
import mlp
import numpy as np
import steps_vs_torch
import training
import turns

SECTIONS = ("ops", "steps", "inference", "footprint")
PEERS = {
    "torch": "PyTorch",
    "jax": "JAX",
    "onnxruntime": "ONNX Runtime",
    "sklearn": "scikit-learn",
}
MARKS = "<!-- peers -->", "<!-- /peers -->"
CONVOLUTIONS = {
    "convolution 3x3, 32x32x32x16": (32, 32, 32, 16, 16, 3, 1, 1, 1),
    "convolution 3x3, 8x56x56x64": (8, 56, 56, 64, 64, 3, 1, 1, 1),
    "convolution 3x3, stride 2, 8x28x28x128 to 256": (8, 28, 28, 128, 256, 3, 2, 1, 1),
    "convolution 1x1, 8x56x56x64 to 256": (8, 56, 56, 64, 256, 1, 1, 0, 1),
    "depthwise 3x3, 8x56x56x128": (8, 56, 56, 128, 128, 3, 1, 1, 128),
}
KERNELS = {
    "batch norm + ReLU, both passes, 32x32x32x16": ("batch_norm", (32, 32, 32, 16)),
    "cross-entropy and gradient, 256x1000": ("cross_entropy", (256, 1000)),
    "Adam, 270 thousand parameters": ("adam", 270_000),
    "max pool 2x2, 64x28x28x32": ("max_pool_forward", (64, 28, 28, 32)),
    "max pool 2x2, backward, 64x28x28x32": ("max_pool_backward", (64, 28, 28, 32)),
    "linear, 64x3136 to 128": ("linear_forward", (64, 3136, 128)),
    "linear, backward weights, 64x3136 to 128": ("linear_backward_weights", (64, 3136, 128)),
}


class Results:
    """Rows as they come: printed, and kept for JSON and Markdown."""

    def __init__(self):
        self.rows = []

    def add(self, section, row, unit, ours, ratios):
        """Keep a row.

        Parameters
        ----------
        section, row : what it belongs to, and its name
        unit, ours : our time or size, and its unit
        ratios : dict from peers to lists of ratios
        """
        peers = {}
        for peer, values in ratios.items():
            low, middle, high = _quartiles(values)
            peers[peer] = {"ratio": middle, "quartiles": [low, high]}
        record = {"section": section, "row": row, "unit": unit, "ours": ours, "peers": peers}
        self.rows.append(record)
        cells = [f"{peer} {cell(record, peer)}" for peer in peers]
        print(f"{row}: {ours:.4g} {unit}; " + ", ".join(cells), flush=True)

    def add_match(self, section, row, match):
        """Keep a row of times that were taken in turn; labels begin with the peer's name."""
        labels = {}
        for label in match.theirs:
            labels.setdefault(label.split()[0], []).append(label)
        ratios = {peer: match.ratios(*group) for peer, group in labels.items()}
        unit, scale = ("us", 1e6) if min(match.ours) < 1e-3 else ("ms", 1e3)
        self.add(section, row, unit, min(match.ours) * scale, ratios)


def _quartiles(values):
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def cell(record, peer):
    """Return what the table says of a peer: the ratio and its quartiles."""
    if peer not in record["peers"]:
        return ""
    figures = record["peers"][peer]
    low, high = figures["quartiles"]
    digits = 2 if figures["ratio"] < 10 else 0
    return f"{figures['ratio']:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def markdown(heading, rows):
    """Return a table for each section as Markdown, with what they were measured on."""
    lines = [heading]
    for section in dict.fromkeys(record["section"] for record in rows):
        records = [record for record in rows if record["section"] == section]
        present = [peer for peer in PEERS if any(peer in record["peers"] for record in records)]
        titles = section, "convlet", *(PEERS[peer] for peer in present)
        lines += ["", f"| {' | '.join(titles)} |", "|---|---:|" + "---:|" * len(present)]
        for record in records:
            ours = f"{record['ours']:.3g} {record['unit']}"
            cells = record["row"], ours, *(cell(record, peer) for peer in present)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _must_agree(row, label, ours, theirs, bound=1e-3):
    for mine, other in zip(ours, theirs, strict=True):
        scale = np.sqrt(np.mean(np.square(mine, dtype=np.float64))) or 1.0
        error = np.sqrt(np.mean(np.square(np.subtract(mine, other, dtype=np.float64)))) / scale
        if not error < bound:
            raise SystemExit(f"{row}: {label} differs by {error:.2g} of the root mean square")


class Contest:
    """Players of one section, with the environment that the options ask for."""

    def __init__(self, options):
        self._stack, self._environment = contextlib.ExitStack(), turns.environment(options)
        self._options = options

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def player(self, peer, make, *arguments):
        """Return a player, or None where that peer is not installed or not asked for."""
        if peer and not wanted(peer, self._options):
            return None
        environment = self._environment | (turns.KEEP_PAGES if peer else {})
        return self._stack.enter_context(turns.Player(make, *arguments, environment=environment))


def wanted(peer, options):
    """Whether a peer takes part."""
    return peer in options.peers and importlib.util.find_spec(peer) is not None


def versions(options):
    """Return the versions of what takes part."""
    found = importlib.metadata.packages_distributions()
    peers = [peer for peer in PEERS if wanted(peer, options)]
    names = {library: found[library][0] for library in ("convlet", *peers)}
    return [f"{PEERS.get(k, k)} {importlib.metadata.version(v)}" for k, v in names.items()]


def convolutions(options, results):
    """The three passes of some convolutions."""
    with Contest(options) as contest:
        ours = contest.player("", conv_vs_torch.Ours)
        torch = contest.player("torch", conv_vs_torch.Torch)
        jax = contest.player("jax", jax_workers.Convolutions, options.threads)
        for title, row in CONVOLUTIONS.items():
            for player in filter(None, (ours, torch, jax)):
                player("prepare", row)
            for name in conv_vs_torch.PASSES:
                what, rivals = f"{title}, {name.replace('_', ' ')}", {}
                mine = ours("result", name)
                if torch:
                    worst = torch("errors", name, mine)[0]
                    if not worst < 1e-3:
                        raise SystemExit(f"{what}: off by {worst:.2g} standard deviations")
                    rivals |= {f"torch {f}": (torch, f"{name} {f}") for f in training.FORMATS}
                if jax:
                    _must_agree(what, "jax", [jax("result", name)], [mine])
                    rivals["jax"] = jax, name
                results.add_match("operation", what, turns.Match((ours, name), rivals, options))


def kernels(options, results):
    """Some of the other kernels of a training step."""
    with Contest(options) as contest:
        ours = contest.player("", kernels_vs_torch.Ours)
        torch = contest.player("torch", kernels_vs_torch.Torch)
        jax = contest.player("jax", jax_workers.Kernels, options.threads)
        for title, (kind, shape) in KERNELS.items():
            mine, rivals = ours("prepare", kind, shape), {}
            if torch:
                labels = next(r[3] for r in kernels_vs_torch.ROWS if r[1:3] == (kind, shape))
                torch("prepare", kind, shape, labels)
                for label in labels:
                    if not torch("difference", label, mine) < 1e-3:
                        raise SystemExit(f"{title}: PyTorch ({label}) differs")
                    rivals[f"torch {label}"] = torch, label
            if jax:
                _must_agree(title, "jax", mine, jax("prepare", kind, shape))
                rivals["jax"] = jax, "jax"
            match = turns.Match((ours, "ours"), rivals, options)
            results.add_match("operation", title, match)


def steps(options, results):
    """Whole training steps of networks."""
    with Contest(options) as contest:
        ours = contest.player("", training.Ours)
        torch = contest.player("torch", training.Torch)
        jax = contest.player("jax", jax_workers.Steps, options.threads)
        for title, (name, shape) in steps_vs_torch.ROWS.items():
            values = ours("prepare", name, shape)
            loss, grads = ours("first")
            rivals = {}
            if torch:
                torch("prepare", name, shape, values, options.compile)
                off, error, _ = torch("errors", loss, grads)
                if not max(off, error / 100) < 1e-4:
                    raise SystemExit(f"{title}: loss off by {off:.2g}, gradients by {error:.2g}")
                kinds = ("", ", compiled") if options.compile else ("",)
                labels = [f"{f}{kind}" for f in training.FORMATS for kind in kinds]
                rivals |= {f"torch {label}": (torch, f"step {label}") for label in labels}
            if jax:
                jax("prepare", name, shape, values)
                their_loss, their_grads = jax("first")
                _must_agree(title, "jax", [their_loss], [loss], 1e-4)
                together = [np.concatenate([g.ravel() for g in gs]) for gs in (their_grads, grads)]
                _must_agree(title, "jax", together[:1], together[1:], 1e-2)
                rivals["jax"] = jax, "step"
            match = turns.Match((ours, "step"), rivals, options)
            results.add_match("training step", title, match)


def perceptron(options, results):
    """A step of what scikit-learn can train."""
    with Contest(options) as contest:
        ours = contest.player("", mlp.Ours)
        sklearn = contest.player("sklearn", mlp.ScikitLearn)
        if not sklearn:
            return
        title = "perceptron 64-100-10, batch 32"
        _must_agree(title, "sklearn", [ours("prepare")], [sklearn("prepare")], 1e-5)
        match = turns.Match((ours, "step"), {"sklearn": (sklearn, "step")}, options)
        results.add_match("training step", title, match)


def inference(options, results):
    """Folded models at batch 1."""
    with Contest(options) as contest, tempfile.TemporaryDirectory() as folder:
        ours = contest.player("", inference_vs_peers.Ours)
        torch = contest.player("torch", inference_vs_peers.Torch)
        jax = contest.player("jax", jax_workers.Inference, options.threads)
        onnx = torch and contest.player(
            "onnxruntime", inference_vs_peers.OnnxRuntime, options.threads
        )
        path = str(Path(folder) / "network.onnx")
        for title, (name, shape) in inference_vs_peers.ROWS.items():
            values, statistics_, logits = ours("prepare", name, shape)
            rivals = {}
            if torch:
                theirs = torch("prepare", name, shape, values, statistics_, options.compile)
                rivals |= dict.fromkeys(theirs, torch)
                logits |= theirs
            if onnx:
                torch("export", path)
                theirs = onnx("prepare", path, shape)
                rivals |= dict.fromkeys(theirs, onnx)
                logits |= theirs
            if jax:
                theirs = jax("prepare", name, shape, values, statistics_)
                rivals |= dict.fromkeys(theirs, jax)
                logits |= theirs
            for label, found in logits.items():
                _must_agree(title, label, [logits["fold()"]], [found])
            rivals = {label: (player, label) for label, player in rivals.items()}
            match = turns.Match((ours, "fold()"), rivals, options)
            results.add_match("inference, batch 1", title, match)


def possession(options, results):
    """What it takes to have a library, and to start it."""
    libraries = ["convlet", *(peer for peer in PEERS if wanted(peer, options))]
    trainers = [library for library in libraries if library in footprint.STEPS]
    with Contest(options) as contest:
        ours = contest.player("", training.Ours)
        digits = ours("prepare", "digits", (32, 8, 8, 1))
        resnet = ours("prepare", "resnet20", (32, 32, 32, 3))

    def race(title, unit, scale, contestants, measure, *arguments):
        taken = [
            {library: measure(library, *arguments) for library in contestants}
            for _ in range(options.rounds)
        ]
        ratios = {
            library: [figures[library] / figures["convlet"] for figures in taken]
            for library in contestants[1:]
        }
        ours = statistics.median(figures["convlet"] for figures in taken)
        results.add("footprint", title, unit, ours * scale, ratios)

    title = "installed, with all it needs but NumPy"
    race(title, "MB", 1e-6, libraries, footprint.installed_size)
    race("import, beyond NumPy's", "ms", 1e3, libraries, footprint.import_seconds)
    title = "from the start of a process to the first trained batch, digits"
    race(title, "s", 1, trainers, footprint.first_batch, options, digits)
    title = "peak memory of a process that trains ResNet-20, batch 128"
    race(title, "MB", 1, trainers, footprint.peak_memory, options, resnet)


def rewrite(path, table):
    """Put the table between the marks of a file."""
    text = Path(path).read_text()
    begin, end = MARKS
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{path}: expected the marks {begin} and {end}")
    Path(path).write_text(f"{before}{begin}\n{table}{end}{after}")


def main():
    parser = turns.match_options(__doc__)
    parser.add_argument("--compile", action="store_true", help="torch.compile as well: minutes")
    parser.add_argument("--sections", default=",".join(SECTIONS), help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {', '.join(PEERS)}")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--readme", metavar="FILE", help="rewrite the table of this file")
    options = turns.parse(parser)
    options.peers = options.peers.split(",")
    results = Results()
    heading = turns.description(options, *versions(options))
    print(heading + "\n")
    sections = options.sections.split(",")
    for section in SECTIONS:
        if section in sections:
            for run in RUNS[section]:
                run(options, results)
    if options.json:
        text = json.dumps({"measured on": heading, "rows": results.rows}, indent=1)
        Path(options.json).write_text(text + "\n")
    table = markdown(heading, results.rows)
    if options.readme:
        rewrite(options.readme, table)
    elif options.markdown:
        print("\n" + table)


RUNS = {
    "ops": (convolutions, kernels),
    "steps": (steps, perceptron),
    "inference": (inference,),
    "footprint": (possession,),
}

if __name__ == "__main__":
    main()
