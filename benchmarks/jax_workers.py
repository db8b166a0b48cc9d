"""JAX's side of the benchmarks: workers for training steps, inference, convolutions and kernels."""

import os

import conv_vs_torch
import inference_vs_peers
import kernels_vs_torch
import numpy as np
import training
import turns


class Jax(turns.Worker):
    """A worker that imports JAX, compiled by jit, on as many CPUs as it may have threads.

    Parameters
    ----------
    threads : how many; XLA has no option for it, so the process keeps to so many CPUs
    """

    def __init__(self, threads):
        super().__init__()
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

    def version(self):
        """Return what is measured."""
        import jax

        return f"jax {jax.__version__}"

    def result(self, name):
        """Return what a call returns, as NumPy arrays."""
        import jax

        return jax.tree.map(np.asarray, self.calls[name]())


def _call(function, *arguments):
    """Compile a function of arrays; return a call that waits for what it computes."""
    import jax

    compiled, arrays = jax.jit(function), jax.device_put(arguments)
    return lambda: jax.block_until_ready(compiled(*arrays))


class Steps(Jax):
    """Training steps of the networks, as in `training`."""

    def prepare(self, name, shape, values):
        """Make the call "step" of the network with these parameters."""
        import jax
        import jax.numpy as jnp
        import jax_networks

        network = getattr(jax_networks, name)
        x, labels = map(jnp.asarray, training.batch(shape))

        def loss(parameters):
            return jax_networks.cross_entropy(network(x, jax_networks.Arrays(parameters)), labels)

        def advance(parameters, moments, t):
            value, grads = jax.value_and_grad(loss)(parameters)
            parameters, moments = jax_networks.adam(parameters, grads, moments, t, training.RATE)
            return parameters, moments, t + 1, value

        advance = jax.jit(advance, donate_argnums=(0, 1, 2))
        parameters = [jnp.array(value) for value in values]
        self._gradients = jax.jit(jax.value_and_grad(loss)), parameters
        zeros = [[jnp.zeros_like(p) for p in parameters] for _ in range(2)]
        self._state = [jnp.array(p) for p in parameters], tuple(zeros), jnp.float32(1)

        def step():
            *self._state, value = advance(*self._state)
            return value.block_until_ready()

        self.calls = {"step": step}

    def first(self):
        """Return the loss and the gradients of the first step, without taking it."""
        function, parameters = self._gradients
        value, grads = function(parameters)
        return float(value), [np.asarray(grad) for grad in grads]


class Inference(Jax):
    """Inference at batch 1, as in `inference_vs_peers`."""

    def prepare(self, name, shape, values, statistics):
        """Make the call "jax"; return its logits."""
        import jax_networks

        network = getattr(jax_networks, name)
        x = inference_vs_peers.image(shape)
        self.calls = {
            "jax": _call(
                lambda x, p, s: network(x, jax_networks.Arrays(p, s)), x, values, statistics
            )
        }
        return {"jax": self.result("jax")}


class Convolutions(Jax):
    """The three passes of a convolution, as in `conv_vs_torch`."""

    def prepare(self, row):
        """Make the calls of a row, named after the passes."""
        import jax
        import jax_networks

        x, w, dy = conv_vs_torch.arrays(row)
        stride, padding, groups = row[6:]

        def forward(x, w):
            return jax_networks.conv(x, w, stride, padding, groups)

        self.calls = {
            "forward": _call(forward, x, w),
            "backward_data": _call(
                lambda dy, w: jax.linear_transpose(lambda x: forward(x, w), x)(dy)[0], dy, w
            ),
            "backward_weights": _call(
                lambda dy, x: jax.linear_transpose(lambda w: forward(x, w), w)(dy)[0], dy, x
            ),
        }


class Kernels(Jax):
    """The other kernels, as in `kernels_vs_torch`: each method makes a call."""

    def prepare(self, kind, shape):
        """Make the call of a row and return its first result."""
        self.calls = {"jax": getattr(self, kind)(shape)}
        return self.result("jax")

    def batch_norm(self, shape):
        """Forward and backward with ReLU."""
        import jax
        import jax_networks

        x, dy, _, gamma, beta = kernels_vs_torch.images(shape)

        def forward(x, gamma, beta):
            moments = jax_networks.Arrays([]).moments(x)
            return jax.nn.relu(jax_networks.normalise(x, *moments, gamma, beta))

        def both(x, gamma, beta, dy):
            y, pullback = jax.vjp(forward, x, gamma, beta)
            return y, *pullback(dy)

        return _call(both, x, gamma, beta, dy)

    def cross_entropy(self, shape):
        """Value and gradient."""
        import jax
        import jax_networks

        logits, labels = kernels_vs_torch.normal(*shape), kernels_vs_torch.labels(shape)
        return _call(jax.value_and_grad(jax_networks.cross_entropy), logits, labels)

    def adam(self, n):
        """One step of n parameters."""
        import jax
        import jax.numpy as jnp
        import jax_networks

        grads = [jnp.asarray(kernels_vs_torch.normal(n, seed=1))]
        step = jax.jit(
            lambda p, m, t, g: (*jax_networks.adam(p, g, m, t, 1e-3), t + 1),
            donate_argnums=(0, 1, 2),
        )
        zeros = [jnp.zeros(n)], [jnp.zeros(n)]
        state = [jnp.asarray(kernels_vs_torch.normal(n))], zeros, jnp.float32(1)

        def call():
            nonlocal state
            state = step(*state, grads)
            return jax.block_until_ready(state)[0]

        return call

    def max_pool_forward(self, shape):
        """Values alone."""
        import jax_networks

        return _call(lambda x: (jax_networks.max_pool(x),), kernels_vs_torch.normal(*shape))

    def max_pool_backward(self, shape):
        """The gradient, from x."""
        import jax
        import jax_networks

        x, dy = kernels_vs_torch.normal(*shape), kernels_vs_torch.pooled_gradient(shape)
        return _call(lambda x, dy: jax.vjp(jax_networks.max_pool, x)[1](dy), x, dy)

    def linear_forward(self, shape):
        """With a bias."""
        x, w, b, _ = kernels_vs_torch.linear(shape)
        return _call(lambda x, w, b: (x @ w + b,), x, w, b)

    def linear_backward_data(self, shape):
        """The gradient by x."""
        _, w, _, dy = kernels_vs_torch.linear(shape)
        return _call(lambda dy, w: (dy @ w.T,), dy, w)

    def linear_backward_weights(self, shape):
        """The gradients by w and b."""
        x, _, _, dy = kernels_vs_torch.linear(shape)
        return _call(lambda dy, x: (x.T @ dy, dy.sum(0)), dy, x)
