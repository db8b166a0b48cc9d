"""The networks of convlet.models in PyTorch, and how arrays of the one become the other's."""

import numpy as np
import torch
from torch import nn


class Classifier(nn.Module):
    """Features, flattened, and layers on top; `grid` is the H and W that flattening sees."""

    def __init__(self, features, head, grid=None):
        super().__init__()
        self.features, self.head, self.grid = nn.Sequential(*features), nn.Sequential(*head), grid

    def forward(self, x):
        """Return the logits of x (N, C, H, W)."""
        return self.head(self.features(x).flatten(1))


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.body = nn.Sequential(
            *_unit(channels, out, 3, stride), nn.ReLU(inplace=True), *_unit(out, out, 3)
        )
        changes = channels != out or stride != 1
        self.shortcut = nn.Sequential(*_unit(channels, out, 1, stride)) if changes else None

    def forward(self, x):
        """Return y of the shape that the shortcut has."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return torch.relu_(self.body(x) + shortcut)


def _unit(channels, out, kernel, stride=1, groups=1):
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(out)]


def digits():
    """As convlet.models.digits."""
    features = [*_unit(1, 16, 3), nn.ReLU(inplace=True), *_unit(16, 32, 3), nn.ReLU(inplace=True)]
    return Classifier([*features, nn.MaxPool2d(2)], [nn.Linear(512, 10)], grid=(4, 4))


def lenet():
    """As convlet.models.lenet."""
    features = []
    for channels, out in ((1, 32), (32, 64)):
        features += nn.Conv2d(channels, out, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2)
    head = [nn.Linear(3136, 128), nn.ReLU(inplace=True), nn.Linear(128, 10)]
    return Classifier(features, head, grid=(7, 7))


def resnet20():
    """As convlet.models.resnet20."""
    return _resnet(3, [*_unit(3, 16, 3), nn.ReLU(inplace=True)], (16, 32, 64), 10)


def resnet18():
    """As convlet.models.resnet18."""
    stem = [*_unit(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    return _resnet(2, stem, (64, 128, 256, 512), 1000)


def _resnet(blocks, features, widths, classes):
    width = widths[0]
    for stage, out in enumerate(widths):
        for i in range(blocks):
            features.append(Block(width, out, 2 if stage and not i else 1))
            width = out
    return Classifier([*features, nn.AdaptiveAvgPool2d(1)], [nn.Linear(width, classes)])


def mobilenet_small():
    """As convlet.models.mobilenet_small."""
    features, width = [*_unit(3, 32, 3), nn.ReLU(inplace=True)], 32
    for out, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        features += [*_unit(width, width, 3, stride, width), nn.ReLU(inplace=True)]
        features += [*_unit(width, out, 1), nn.ReLU(inplace=True)]
        width = out
    return Classifier([*features, nn.AdaptiveAvgPool2d(1)], [nn.Linear(width, 10)])


def as_torch(array, grid=None):
    """Return weights, or their gradient, in PyTorch's order of axes.

    Parameters
    ----------
    array : (KH, KW, C, OC), (in, out) or (n,)
    grid : (H, W) where the rows of (in, out) are channels last and follow a flattening
    """
    if array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    elif array.ndim == 2:
        if grid is not None:
            array = array.reshape(*grid, -1, array.shape[1]).transpose(2, 0, 1, 3)
            array = array.reshape(-1, array.shape[-1])
        array = array.T
    return torch.from_numpy(np.ascontiguousarray(array))


def first_linear(arrays):
    """Position of the first matrix, the one that may follow a flattening."""
    return next(i for i, array in enumerate(arrays) if array.ndim == 2)


def all_as_torch(arrays, grid):
    """`as_torch` of the parameters of a model, in order."""
    first = first_linear(arrays)
    return [as_torch(array, grid if i == first else None) for i, array in enumerate(arrays)]


def memory_format(label):
    """PyTorch's memory format of the name "NCHW" or "channels_last"."""
    return torch.channels_last if label == "channels_last" else torch.contiguous_format


def images(x, label):
    """Images (N, H, W, C) as a tensor (N, C, H, W) in one of PyTorch's formats."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=memory_format(label))


def build(name, arrays, label, statistics=None):
    """Build a network with the parameters of convlet's, in one of PyTorch's formats.

    Parameters
    ----------
    name : what convlet.models calls it
    arrays : its parameters, in order
    label : "NCHW" or "channels_last"
    statistics : running means and variances in order, mean before variance; None for those of a new
        network
    """
    network = globals()[name]()
    with torch.no_grad():
        values = all_as_torch(arrays, network.grid)
        for parameter, value in zip(network.parameters(), values, strict=True):
            parameter.copy_(value)
        if statistics is not None:
            buffers = [buffer for buffer in network.buffers() if buffer.ndim == 1]
            for buffer, value in zip(buffers, statistics, strict=True):
                buffer.copy_(torch.from_numpy(value))
    return network.to(memory_format=memory_format(label))
