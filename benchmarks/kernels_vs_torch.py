"""Time the kernels of a training step, all but convolution, against PyTorch.

    pip install ".[bench]" && python benchmarks/kernels_vs_torch.py [--only "batch norm"] [...]

Ours against the better of what PyTorch has, on the same arrays, in processes that take turns
(`turns.py`): NCHW and channels_last for images, one tensor of all parameters for Adam. Results are
compared before anything is timed. Convlet's times include its checks in Python and outputs from its
block cache; PyTorch's include its dispatcher and, where a gradient comes from it, autograd.
"""

import numpy as np
import turns

IMAGES = (32, 32, 32, 16), (128, 8, 8, 64), (8, 56, 56, 64), (32, 14, 14, 256), (17, 13, 13, 40)
FORMATS = ("NCHW", "channels_last")
CLASSES = {(128, 10): 5, (256, 1000): 2.5, (4096, 1000): 2.5, (1024, 50257): 2.3}
POOLED = (32, 8, 8, 32), (64, 28, 28, 32), (8, 112, 112, 64)
LINEAR = {(32, 512, 10): 1.5, (128, 512, 10): 1.5, (128, 64, 10): 1.5, (64, 3136, 128): 1.2}
LINEAR_PASSES = ("forward", "backward_data", "backward_weights")

# What a row is called, the methods of the workers, their argument, the rivals, and the ratio aimed
# at.
ROWS = [("batch norm, ReLU, both passes", "batch_norm", s, FORMATS, 3) for s in IMAGES]
ROWS += [
    ("batch norm, add, ReLU, both", "batch_norm_add", s, FORMATS, 2.2 if s == IMAGES[3] else 2.5)
    for s in IMAGES
]
ROWS += [("cross-entropy", "cross_entropy", s, ("eager",), goal) for s, goal in CLASSES.items()]
ROWS += [
    ("Adam against fused", "adam", 270_000, ("fused",), 2),
    ("Adam against fused", "adam", 11_000_000, ("fused",), 1),
    ("Adam against default", "adam", 11_000_000, ("default",), 3.5),
]
ROWS += [
    (f"max pool 2x2, {direction}", f"max_pool_{direction}", s, FORMATS, 1.7)
    for s in POOLED
    for direction in ("forward", "backward")
]
ROWS += [
    (f"linear, {direction}", f"linear_{direction}", s, ("eager",), goal)
    for s, goal in LINEAR.items()
    for direction in LINEAR_PASSES
]


def normal(*shape, seed=0):
    """Random numbers, the same in every process."""
    return turns.normal(np.random.default_rng(seed), shape)


def images(shape):
    """x, dy, a residual, gamma and beta."""
    c = shape[-1]
    return [normal(*shape, seed=i) for i in range(3)] + [1 + normal(c) / 4, normal(c, seed=1) / 4]


def linear(shape):
    """x, w, b and dy."""
    m, fan_in, out = shape
    return normal(m, fan_in), normal(fan_in, out), normal(out), normal(m, out, seed=1)


def pooled_gradient(shape):
    """dy of a 2x2 pooling."""
    n, h, w, c = shape
    return normal(n, h // 2, w // 2, c)


def labels(shape):
    """A class for each row."""
    return np.random.default_rng(0).integers(0, shape[1], shape[0])


class Ours(turns.Convlet):
    """Convlet's side: each method makes a call that returns a tuple of arrays."""

    def prepare(self, kind, shape):
        """Make the call of a row and return its first result."""
        self.calls = {"ours": getattr(self, kind)(shape)}
        return self.calls["ours"]()

    def batch_norm(self, shape):
        """Forward and backward with ReLU."""
        import convlet as cl

        x, dy, _, gamma, beta = images(shape)

        def call():
            y, mean, var = cl.ops.batch_norm(x, gamma, beta, activation="relu")
            return y, *cl.ops.batch_norm_backward(
                dy, x, gamma, mean, var, beta=beta, activation="relu"
            )

        return call

    def batch_norm_add(self, shape):
        """Forward and backward with a residual and ReLU."""
        import convlet as cl

        x, dy, z, gamma, beta = images(shape)

        def call():
            y, mean, var = cl.ops.batch_norm(x, gamma, beta, residual=z, activation="relu")
            return y, *cl.ops.batch_norm_backward(
                dy, x, gamma, mean, var, y=y, activation="relu", residual=True
            )

        return call

    def cross_entropy(self, shape):
        """Value and gradient."""
        import convlet as cl

        logits, target = normal(*shape), labels(shape)
        return lambda: cl.softmax_cross_entropy(logits, target)

    def adam(self, n):
        """One step of n parameters."""
        import convlet as cl

        parameter = cl.Parameter(normal(n))
        parameter.grad = normal(n, seed=1)
        optimizer = cl.Adam([parameter])

        def call():
            optimizer.step()
            return (parameter.value,)

        return call

    def max_pool_forward(self, shape):
        """Values and the winners, as in the training door of MaxPool2d."""
        from convlet.ops.pool import max_pool2d_winners

        x = normal(*shape)
        return lambda: max_pool2d_winners(x, 2)[:1]

    def max_pool_backward(self, shape):
        """The gradient, from the winners."""
        from convlet.ops.pool import max_pool2d_winners, max_pool2d_winners_backward

        dy, winners = pooled_gradient(shape), max_pool2d_winners(normal(*shape), 2)[1]
        return lambda: (max_pool2d_winners_backward(dy, winners, shape, 2),)

    def linear_forward(self, shape):
        """With a bias."""
        import convlet as cl

        x, w, b, _ = linear(shape)
        return lambda: (cl.ops.linear(x, w, b),)

    def linear_backward_data(self, shape):
        """The gradient by x."""
        import convlet as cl

        x, w, _, dy = linear(shape)
        return lambda: cl.ops.linear_backward(dy, x, w, needs=(True, False, False))[:1]

    def linear_backward_weights(self, shape):
        """The gradients by w and b."""
        import convlet as cl

        x, w, _, dy = linear(shape)
        return lambda: cl.ops.linear_backward(dy, x, w, needs=(False, True, True))[1:]


class Torch(turns.Torch):
    """PyTorch's side: each method makes a call that returns a tuple of tensors."""

    def prepare(self, kind, shape, rivals):
        """Make the calls of a row."""
        self.calls = {}
        for label in rivals:
            self.calls[label] = getattr(self, kind)(shape, label)

    def difference(self, label, ours):
        """Return the worst rms difference of an array over its root mean square."""
        worst = 0
        for mine, other in zip(self.calls[label](), ours, strict=True):
            mine = mine.detach()
            mine = (mine.permute(0, 2, 3, 1) if mine.ndim == 4 else mine).numpy()
            error = np.sqrt(np.mean(np.square(mine - other)) / np.mean(np.square(mine)))
            worst = max(worst, float(error))
        return worst

    def batch_norm(self, shape, label):
        """F.batch_norm and relu, and autograd."""
        return self._batch_norm(shape, label, add=False)

    def batch_norm_add(self, shape, label):
        """F.batch_norm, add and relu, and autograd."""
        return self._batch_norm(shape, label, add=True)

    def _batch_norm(self, shape, label, add):
        import torch

        x, dy, z, gamma, beta = map(torch.from_numpy, images(shape))
        x, dy, z = (self._image(a, label) for a in (x, dy, z))
        leaves = [a.requires_grad_() for a in ((x, gamma, beta, z) if add else (x, gamma, beta))]

        def call():
            y = torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True)
            y = torch.relu_(y + z if add else y)
            return y, *torch.autograd.grad(y, leaves, dy)

        return call

    def cross_entropy(self, shape, _):
        """F.cross_entropy and autograd."""
        import torch

        logits = torch.from_numpy(normal(*shape)).requires_grad_()
        target = torch.from_numpy(labels(shape))

        def call():
            loss = torch.nn.functional.cross_entropy(logits, target)
            return loss, *torch.autograd.grad(loss, logits)

        return call

    def adam(self, n, label):
        """One step of a tensor of n parameters."""
        import torch

        parameter = torch.nn.Parameter(torch.from_numpy(normal(n)))
        parameter.grad = torch.from_numpy(normal(n, seed=1))
        optimizer = torch.optim.Adam([parameter], fused=True if label == "fused" else None)

        def call():
            optimizer.step()
            return (parameter,)

        return call

    def max_pool_forward(self, shape, label):
        """Values and the indices that the backward pass needs."""
        import torch

        x = self._image(torch.from_numpy(normal(*shape)), label)
        return lambda: torch.ops.aten.max_pool2d_with_indices(x, [2, 2])[:1]

    def max_pool_backward(self, shape, label):
        """The gradient, from the indices."""
        import torch

        x, dy = (
            self._image(torch.from_numpy(a), label)
            for a in (normal(*shape), pooled_gradient(shape))
        )
        indices = torch.ops.aten.max_pool2d_with_indices(x, [2, 2])[1]
        backward = torch.ops.aten.max_pool2d_with_indices_backward
        two, zero, one = [2, 2], [0, 0], [1, 1]
        return lambda: (backward(dy, x, two, two, zero, one, False, indices),)

    def linear_forward(self, shape, _):
        """F.linear, with weights (out, in)."""
        import torch

        x, w, b, _ = self._linear(shape)
        return lambda: (torch.nn.functional.linear(x, w, b),)

    def linear_backward_data(self, shape, _):
        """The product that autograd takes."""
        _, w, _, dy = self._linear(shape)
        return lambda: (dy.mm(w),)

    def linear_backward_weights(self, shape, _):
        """The product and the sum that autograd takes."""
        x, _, _, dy = self._linear(shape)
        return lambda: (dy.t().mm(x).t(), dy.sum(0))

    @staticmethod
    def _image(array, label):
        import torch

        memory = torch.channels_last if label == "channels_last" else torch.contiguous_format
        return array.permute(0, 3, 1, 2).contiguous(memory_format=memory)

    @staticmethod
    def _linear(shape):
        import torch

        x, w, b, dy = map(torch.from_numpy, linear(shape))
        return x, w.t().contiguous(), b, dy


def main():
    options = turns.parse(turns.match_options(__doc__))
    environment = turns.environment(options)
    with (
        turns.Player(Ours, environment=environment) as ours,
        turns.Player(Torch, environment=environment | turns.KEEP_PAGES) as torch,
    ):
        turns.heading(options, *(player("version") for player in (ours, torch)))
        columns = {"kernel, us": 32, "shape": 17, **turns.COLUMNS, "aim": 4, "difference": 10}
        table = turns.Table(columns, options.markdown)
        for title, kind, shape, rivals, aim in ROWS:
            if options.only not in title:
                continue
            result = ours("prepare", kind, shape)
            torch("prepare", kind, shape, rivals)
            difference = max(torch("difference", label, result) for label in rivals)
            if not difference < 1e-3:
                raise SystemExit(f"{title} {shape}: results differ by {difference:.2g}")
            match = turns.Match(
                (ours, "ours"), {label: (torch, label) for label in rivals}, options
            )
            sizes = ",".join(map(str, shape)) if isinstance(shape, tuple) else shape
            table.row(title, sizes, *match.cells(), aim, f"{difference:.0e}")
        print("\ndifference: worst rms difference of a result, over its root mean square")


if __name__ == "__main__":
    main()
