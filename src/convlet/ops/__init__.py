"""The operators as functions of arrays: forward and backward, channels last, nothing kept.

x is (N, H, W, C), float32 or float64; results have the dtype of x and belong to the caller. Sizes
take an integer or a pair (rows, columns).
"""

from .activation import (
    elu,
    elu_backward,
    gelu,
    gelu_backward,
    hard_swish,
    hard_swish_backward,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu6,
    relu6_backward,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    silu,
    silu_backward,
    softplus,
    softplus_backward,
    tanh,
    tanh_backward,
)
from .batch_norm import batch_norm, batch_norm_backward, batch_norm_inference
from .conv import conv2d, conv2d_algorithm, conv2d_backward
from .conv1d import conv1d, conv1d_backward
from .conv_transpose import conv_transpose2d, conv_transpose2d_backward
from .cross_entropy import nll, softmax_cross_entropy
from .dropout import dropout, dropout_backward
from .elementwise import add
from .group_norm import (
    group_norm,
    group_norm_backward,
    instance_norm,
    instance_norm_backward,
    layer_norm,
    layer_norm_backward,
)
from .linear import linear, linear_backward
from .pool import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)
from .resample import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    pad2d,
    pad2d_backward,
    upsample2d,
    upsample2d_backward,
)
from .softmax import log_softmax, log_softmax_backward, softmax, softmax_backward

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "add",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "conv1d",
    "conv1d_backward",
    "conv2d",
    "conv2d_algorithm",
    "conv2d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "dropout",
    "dropout_backward",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "global_max_pool2d",
    "global_max_pool2d_backward",
    "group_norm",
    "group_norm_backward",
    "hard_swish",
    "hard_swish_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "nll",
    "pad2d",
    "pad2d_backward",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy",
    "softplus",
    "softplus_backward",
    "tanh",
    "tanh_backward",
    "upsample2d",
    "upsample2d_backward",
]
