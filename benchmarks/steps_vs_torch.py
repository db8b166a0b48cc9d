"""Time training steps of the networks of convlet.models against PyTorch.

    pip install ".[bench]" && python benchmarks/steps_vs_torch.py [--compile] [...]

A step is forward, cross-entropy, backward without the gradient of the images, and Adam (PyTorch's
fused one), on one batch; ours against the best of PyTorch's: NCHW and channels_last, eager and, by
--compile, which needs a C++ compiler and minutes, torch.compile. Both sides have the same weights
and arrays, take turns in processes of their own (`turns.py`), and must agree in loss and gradients
first.
"""

import training
import turns

ROWS = {
    "digits, batch 32": ("digits", (32, 8, 8, 1)),
    "digits, batch 128": ("digits", (128, 8, 8, 1)),
    "LeNet, batch 64": ("lenet", (64, 28, 28, 1)),
    "ResNet-20, batch 32": ("resnet20", (32, 32, 32, 3)),
    "ResNet-20, batch 128": ("resnet20", (128, 32, 32, 3)),
    "small MobileNet, batch 32": ("mobilenet_small", (32, 32, 32, 3)),
}


def main():
    parser = turns.match_options(__doc__, burst=0.2)
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    options = turns.parse(parser)
    environment = turns.environment(options)
    with (
        turns.Player(training.Ours, environment=environment) as ours,
        turns.Player(training.Torch, environment=environment | turns.KEEP_PAGES) as torch,
    ):
        turns.heading(options, *(player("version") for player in (ours, torch)))
        columns = {"training step, ms": 26, **turns.COLUMNS, "error": 8, "torch error": 11}
        table = turns.Table(columns, options.markdown)
        for title, (name, shape) in ROWS.items():
            if options.only not in title:
                continue
            torch("prepare", name, shape, ours("prepare", name, shape), options.compile)
            loss, grads = ours("first")
            calls = [f"step {label}" for label in training.FORMATS]
            if options.compile:
                calls += [f"{call}, compiled" for call in calls]
            of_loss, our_error, torch_error = torch("errors", loss, grads)
            if not max(of_loss, our_error / 100) < 1e-4:
                raise SystemExit(
                    f"{title}: loss off by {of_loss:.2g}, gradients by {our_error:.2g}"
                )
            rivals = {call.removeprefix("step "): (torch, call) for call in calls}
            match = turns.Match((ours, "step"), rivals, options)
            table.row(
                title,
                *match.cells(1e-3, 3),
                f"{our_error:.1e}",
                f"{torch_error:.1e}",
            )
        print("\nerror: of all gradients together, relative to float64; the worst of PyTorch's.")
        print("Above 1e-5 rounding has given the maximum of a pool, or the sign of a ReLU's input,")
        print("to another.")


if __name__ == "__main__":
    main()
