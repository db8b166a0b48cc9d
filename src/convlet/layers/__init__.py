"""Layers: nouns that are called to infer, and whose `vjp` is called to train."""

from .activation import ReLU as ReLU
from .activation import Softmax as Softmax
from .base import Layer as Layer
from .batch_norm import BatchNorm as BatchNorm
from .composition import Concat as Concat
from .composition import Lambda as Lambda
from .conv1d import Conv1d as Conv1d
from .conv2d import Conv2d as Conv2d
from .conv_transpose2d import ConvTranspose2d as ConvTranspose2d
from .dropout import Dropout as Dropout
from .flatten import Flatten as Flatten
from .group_norm import GroupNorm as GroupNorm
from .group_norm import InstanceNorm as InstanceNorm
from .group_norm import LayerNorm as LayerNorm
from .linear import Linear as Linear
from .pool import AvgPool2d as AvgPool2d
from .pool import GlobalAvgPool2d as GlobalAvgPool2d
from .pool import GlobalMaxPool2d as GlobalMaxPool2d
from .pool import MaxPool2d as MaxPool2d
from .resample import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .resample import Pad2d as Pad2d
from .resample import Upsample2d as Upsample2d
from .residual import Residual as Residual
from .sequential import Sequential as Sequential
