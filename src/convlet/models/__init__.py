"""Ready-made networks: functions that return a `Sequential` from images (N, H, W, C) to logits.

Each takes `rng`, a numpy Generator or seed that the parameters are drawn from, or None for fresh
entropy. Weights start He normal by fan-in, as in every layer.
"""

from .digits import digits as digits
from .lenet import lenet as lenet
from .mobilenet import mobilenet_small as mobilenet_small
from .resnet import PadShortcut as PadShortcut
from .resnet import resnet18 as resnet18
from .resnet import resnet20 as resnet20
from .resnet import resnet32 as resnet32
from .resnet import resnet56 as resnet56
