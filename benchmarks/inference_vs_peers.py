"""Time inference at batch 1 against PyTorch and ONNX Runtime.

    pip install ".[bench]" && python benchmarks/inference_vs_peers.py [--compile] [...]

Convlet runs `model.fold()`, and beside it the plain door, `model(x)`; PyTorch runs in inference
mode, in both formats, plain and frozen by TorchScript, and with --compile by torch.compile; ONNX
Runtime, if it is installed, runs what PyTorch exports. All have the same weights and statistics,
take turns in processes of their own (`turns.py`), and must agree first.
"""

import contextlib
import importlib.util
import tempfile
import warnings
from pathlib import Path

import numpy as np
import turns

ROWS = {
    "ResNet-18, 224x224": ("resnet18", (1, 224, 224, 3)),
    "ResNet-20, 32x32": ("resnet20", (1, 32, 32, 3)),
    "digits, 8x8": ("digits", (1, 8, 8, 1)),
}
FORMATS = ("NCHW", "channels_last")


def image(shape):
    """An image, channels last."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


class Ours(turns.Convlet):
    """Convlet's side."""

    def prepare(self, name, shape):
        """Build a network with statistics of its own; return parameters, statistics and logits."""
        import convlet as cl

        x, rng = image(shape), np.random.default_rng(1)
        model = getattr(cl.models, name)(rng=0)
        state = model.state_dict()
        for key, value in state.items():
            if key.endswith("running_mean"):
                state[key] = rng.normal(0, 0.1, value.shape).astype(value.dtype)
            elif key.endswith("running_var"):
                state[key] = rng.uniform(0.5, 1.5, value.shape).astype(value.dtype)
        model.load_state_dict(state)
        folded = model.fold()
        self.calls = {"fold()": lambda: folded(x), "plain door": lambda: model(x)}
        statistics = [value for key, value in state.items() if ".running_" in key]
        values = [parameter.value.copy() for parameter in model.parameters()]
        return values, statistics, {label: call() for label, call in self.calls.items()}


class Torch(turns.Torch):
    """PyTorch's side."""

    def prepare(self, name, shape, values, statistics, compiled):
        """Build the network in every configuration; return their logits."""
        import torch
        import torch_networks

        torch.set_grad_enabled(False)
        torch.compiler.reset()  # else its limit of shapes per function leaves the last ones eager
        self.calls = {}
        for label in FORMATS:
            x = torch_networks.images(image(shape), label)
            network = torch_networks.build(name, values, label, statistics).eval()
            self._network, self._x = network, x
            runs = {label: network, f"{label}, frozen": _frozen(network, x)}
            if compiled:
                runs[f"{label}, compiled"] = torch.compile(network)
            for configuration, run in runs.items():
                self.calls[f"torch {configuration}"] = _inference(run, x)
        return {label: call().numpy() for label, call in self.calls.items()}

    def export(self, path):
        """Write the network as ONNX."""
        import torch

        with warnings.catch_warnings(), contextlib.redirect_stdout(None):
            warnings.simplefilter("ignore")
            torch.onnx.export(self._network, (self._x,), path, input_names=["x"], dynamo=False)


def _frozen(network, x):
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.freeze(torch.jit.trace(network, x))
        return torch.jit.optimize_for_inference(traced)


def _inference(run, x):
    import torch

    def call():
        with torch.inference_mode():
            return run(x)

    return call


class OnnxRuntime(turns.Worker):
    """ONNX Runtime's side."""

    def __init__(self, threads):
        super().__init__()
        self._threads = threads

    def version(self):
        """Return what is measured."""
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    def prepare(self, path, shape):
        """Load the network; return its logits."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        inputs = {"x": np.ascontiguousarray(image(shape).transpose(0, 3, 1, 2))}
        self.calls = {"onnxruntime": lambda: session.run(None, inputs)[0]}
        return {label: call() for label, call in self.calls.items()}


def check(title, logits):
    """Raise SystemExit where contestants disagree."""
    expected = logits["torch NCHW"]
    for label, values in logits.items():
        error = np.abs(values - expected).max() / expected.std()
        if not error < 1e-3:
            raise SystemExit(f"{title}: {label} differs by {error:.2g} standard deviations")


def compare(title, name, shape, players, options, table):
    """Print the rows of a network: one for each of our doors."""
    ours, torch, *onnx = players
    values, statistics, logits = ours("prepare", name, shape)
    doors = list(logits)
    theirs = torch("prepare", name, shape, values, statistics, options.compile)
    rivals = {label: (torch, label) for label in theirs}
    logits |= theirs
    if onnx:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "network.onnx")
            torch("export", path)
            logits |= onnx[0]("prepare", path, shape)
    check(title, logits)
    labels = list(rivals)
    if onnx:
        rivals["onnxruntime"] = onnx[0], "onnxruntime"
    for door in doors:
        match = turns.Match((ours, door), rivals, options)
        fastest = {label: min(match.theirs[label]) * 1e6 for label in rivals}
        best = min(labels, key=fastest.get)
        cells = [
            f"{min(match.ours) * 1e6:.1f}",
            f"{fastest[best]:.1f}",
            best.removeprefix("torch "),
        ]
        cells.append(f"{match.ratio(*labels):.2f}")
        if onnx:
            cells += [f"{fastest['onnxruntime']:.1f}", f"{match.ratio('onnxruntime'):.2f}"]
        else:
            cells += ["-", "-"]
        table.row(title, door, *cells)


def main():
    parser = turns.match_options(__doc__)
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    options = turns.parse(parser)
    environment = turns.environment(options)
    kept = environment | turns.KEEP_PAGES
    with contextlib.ExitStack() as stack:
        players = [
            stack.enter_context(turns.Player(Ours, environment=environment)),
            stack.enter_context(turns.Player(Torch, environment=kept)),
        ]
        if importlib.util.find_spec("onnxruntime"):
            player = turns.Player(OnnxRuntime, options.threads, environment=kept)
            players.append(stack.enter_context(player))
        turns.heading(options, *(player("version") for player in players))
        columns = {"inference, us": 20, "door": 11, "ours": 9, "torch": 9, "configuration": 24}
        columns |= {"ratio": 6, "onnxruntime": 11, "its ratio": 9}
        table = turns.Table(columns, options.markdown)
        for title, (name, shape) in ROWS.items():
            if options.only in title:
                compare(title, name, shape, players, options, table)


if __name__ == "__main__":
    main()
