"""convlet: train and run convolutional networks on NumPy arrays, on the CPU.

Layers have two doors, `y = layer(x)` to infer and `y, pullback = layer.vjp(x)` to train. Images are
channels last, (N, H, W, C). Each module says more:

    layers      Conv2d, Linear, BatchNorm, ..., and what joins them: Sequential, Residual, Concat
    losses      softmax_cross_entropy and others, (prediction, target) -> (loss, gradient)
    optimizers  SGD, Adam, ..., over model.parameters()
    schedules   learning rates, and other options of optimizers, as functions of the step
    init        initial values of parameters
    ops         every operation and its backward as functions of arrays
    models      networks
    data        data sets, batches, and random changes of images
    training    fit and evaluate
    states      the weights of PyTorch models
    gradcheck   gradients against finite differences
    reference   every operation in plain NumPy

Layers, optimizers, and the operations forward are in `convlet` itself, too.
"""

from . import init as init
from . import layers as layers
from . import losses as losses
from . import ops as ops
from . import optimizers as optimizers
from . import schedules as schedules
from .config import clear_cache as clear_cache
from .config import get_include as get_include
from .config import get_library_dir as get_library_dir
from .config import show_config as show_config
from .layers import ELU as ELU
from .layers import GELU as GELU
from .layers import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .layers import AvgPool1d as AvgPool1d
from .layers import AvgPool2d as AvgPool2d
from .layers import BatchNorm as BatchNorm
from .layers import Concat as Concat
from .layers import Conv1d as Conv1d
from .layers import Conv2d as Conv2d
from .layers import ConvTranspose2d as ConvTranspose2d
from .layers import Dropout as Dropout
from .layers import Flatten as Flatten
from .layers import GlobalAvgPool1d as GlobalAvgPool1d
from .layers import GlobalAvgPool2d as GlobalAvgPool2d
from .layers import GlobalMaxPool1d as GlobalMaxPool1d
from .layers import GlobalMaxPool2d as GlobalMaxPool2d
from .layers import GroupNorm as GroupNorm
from .layers import HardSwish as HardSwish
from .layers import InstanceNorm as InstanceNorm
from .layers import Lambda as Lambda
from .layers import Layer as Layer
from .layers import LayerNorm as LayerNorm
from .layers import LeakyReLU as LeakyReLU
from .layers import Linear as Linear
from .layers import MaxPool1d as MaxPool1d
from .layers import MaxPool2d as MaxPool2d
from .layers import Pad2d as Pad2d
from .layers import ReLU as ReLU
from .layers import ReLU6 as ReLU6
from .layers import Residual as Residual
from .layers import Sequential as Sequential
from .layers import Sigmoid as Sigmoid
from .layers import SiLU as SiLU
from .layers import Softmax as Softmax
from .layers import Softplus as Softplus
from .layers import Tanh as Tanh
from .layers import Upsample2d as Upsample2d
from .losses import softmax_cross_entropy as softmax_cross_entropy
from .ops import adaptive_avg_pool2d as adaptive_avg_pool2d
from .ops import avg_pool1d as avg_pool1d
from .ops import avg_pool2d as avg_pool2d
from .ops import batch_norm as batch_norm
from .ops import conv1d as conv1d
from .ops import conv2d as conv2d
from .ops import conv_transpose2d as conv_transpose2d
from .ops import dropout as dropout
from .ops import elu as elu
from .ops import gelu as gelu
from .ops import global_avg_pool1d as global_avg_pool1d
from .ops import global_avg_pool2d as global_avg_pool2d
from .ops import global_max_pool1d as global_max_pool1d
from .ops import global_max_pool2d as global_max_pool2d
from .ops import hard_swish as hard_swish
from .ops import leaky_relu as leaky_relu
from .ops import linear as linear
from .ops import log_softmax as log_softmax
from .ops import max_pool1d as max_pool1d
from .ops import max_pool2d as max_pool2d
from .ops import pad2d as pad2d
from .ops import relu as relu
from .ops import relu6 as relu6
from .ops import sigmoid as sigmoid
from .ops import silu as silu
from .ops import softmax as softmax
from .ops import softplus as softplus
from .ops import tanh as tanh
from .ops import upsample2d as upsample2d
from .optimizers import SGD as SGD
from .optimizers import AdaGrad as AdaGrad
from .optimizers import Adam as Adam
from .optimizers import AdamW as AdamW
from .optimizers import Lion as Lion
from .optimizers import NAdam as NAdam
from .optimizers import RMSProp as RMSProp
from .options import get_options as get_options
from .options import options as options
from .parameter import Parameter as Parameter
from .threads import get_num_threads as get_num_threads
from .threads import num_threads as num_threads

__version__ = "0.1.0.dev0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import data as data
    from . import gradcheck as gradcheck
    from . import models as models
    from . import reference as reference
    from . import states as states
    from . import training as training

_ON_DEMAND = ("data", "gradcheck", "models", "reference", "states", "training")


def __getattr__(name):
    """Import what many a program never needs on first use."""
    if name in _ON_DEMAND:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    from ._names import FOREIGN_NAMES

    # Names alike but for upper case, such as Conv2D; of Conv2d and conv2d the first.
    alike = [f"use {__name__}.{known}" for known in __dir__() if known.lower() == name.lower()]
    cure = FOREIGN_NAMES.get(name) or (alike[0] if alike else None)
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}" + (f"; {cure}" if cure else "")
    )


def __dir__():
    return sorted({*globals(), *_ON_DEMAND})
