"""Workers that train a network of convlet.models, by convlet and by PyTorch, on the same arrays."""

import numpy as np
import turns

FORMATS = ("NCHW", "channels_last")
CLASSES = 10
# A rate that trains nothing, so that all contestants time the same arithmetic throughout: a network
# that has learnt its only batch by heart has vanishing gradients.
RATE = 1e-8


def batch(shape):
    """Images, channels last, and labels."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal(shape, dtype=np.float32)
    return images, rng.integers(0, CLASSES, shape[0])


class Ours(turns.Convlet):
    """Convlet's side."""

    def prepare(self, name, shape):
        """Build the network, without running it; return its parameters."""
        import convlet as cl

        x, labels = batch(shape)
        model = getattr(cl.models, name)(rng=0)
        self._parameters = model.parameters()
        self._optimizer = optimizer = cl.Adam(self._parameters, lr=RATE)

        def gradients():
            logits, pullback = model.vjp(x, input_grad=False)
            loss, dlogits = cl.softmax_cross_entropy(logits, labels)
            pullback(dlogits)
            return loss

        def step():
            gradients()
            optimizer.step(zero_grad=True)

        self._gradients = gradients
        self.calls = {"step": step}
        return [parameter.value.copy() for parameter in self._parameters]

    def first(self):
        """Return the loss and the gradients of the first step, without taking it."""
        loss = self._gradients()
        grads = [parameter.grad.copy() for parameter in self._parameters]
        self._optimizer.zero_grad()
        return loss, grads


class Torch(turns.Torch):
    """PyTorch's side."""

    def prepare(self, name, shape, values, compiled, formats=FORMATS):
        """Build the network in the formats, calls "step <format>"."""
        import torch
        import torch_networks

        torch.compiler.reset()  # else its limit of shapes per function leaves the last ones eager
        images, labels = self._batch(shape, "NCHW")
        self._network = torch_networks.build(name, values, "NCHW"), images, labels
        self.calls, self._gradients = {}, []
        for label in formats:
            self.calls[f"step {label}"] = self._step(name, shape, values, label, False)
            if compiled:
                step = self._step(name, shape, values, label, True)
                self.calls[f"step {label}, compiled"] = step

    def _step(self, name, shape, values, label, compiled):
        import torch
        import torch_networks

        x, labels = self._batch(shape, label)
        network = torch_networks.build(name, values, label)
        optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
        forward = torch.compile(network) if compiled else network

        def backward():
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(forward(x), labels)
            loss.backward()
            return loss.item()

        def step():
            backward()
            optimizer.step()

        def gradients():
            backward()
            return [parameter.grad for parameter in network.parameters()]

        self._gradients.append(gradients)
        return step

    @staticmethod
    def _batch(shape, label):
        import torch
        import torch_networks

        x, labels = batch(shape)
        return torch_networks.images(x, label), torch.from_numpy(labels)

    def errors(self, loss, grads):
        """Return how far another loss is from float64's, and gradients: those given, and our worst.

        Of gradients it is the norm of the difference of all, over their norm.
        """
        import torch
        import torch_networks

        network, x, labels = self._network
        exact = torch.nn.functional.cross_entropy(network.double()(x.double()), labels)
        exact.backward()

        def error(grads):
            pairs = zip(network.parameters(), grads, strict=True)
            return sum(float((p.grad - g).square().sum()) for p, g in pairs)

        norm = sum(float(p.grad.square().sum()) for p in network.parameters())
        theirs = error(torch_networks.all_as_torch(grads, network.grid))
        ours = max(error(gradients()) for gradients in self._gradients)
        return abs(loss / exact.item() - 1), (theirs / norm) ** 0.5, (ours / norm) ** 0.5
