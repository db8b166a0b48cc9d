"""Every operator of convlet in plain NumPy: the readable definition, and the oracle of the tests.

Arrays are channels last: x (N,H,W,C), w (KH,KW,C/groups,OC). The dtype of the inputs is kept, sums
included; the definition is meant for float64, where finite differences confirm each gradient.
Sizes (kernel, stride, dilation, padding) are an int or a pair; padding may also be
((top, bottom), (left, right)), "valid", "same" (TensorFlow's rule: ceil(n/stride) outputs, the odd
pixel at the end) or "same_lower" (the odd pixel at the beginning). Inputs are never written.
"""

from .activation import elu as elu
from .activation import elu_backward as elu_backward
from .activation import gelu as gelu
from .activation import gelu_backward as gelu_backward
from .activation import hard_swish as hard_swish
from .activation import hard_swish_backward as hard_swish_backward
from .activation import leaky_relu as leaky_relu
from .activation import leaky_relu_backward as leaky_relu_backward
from .activation import log_softmax as log_softmax
from .activation import log_softmax_backward as log_softmax_backward
from .activation import relu as relu
from .activation import relu6 as relu6
from .activation import relu6_backward as relu6_backward
from .activation import relu_backward as relu_backward
from .activation import sigmoid as sigmoid
from .activation import sigmoid_backward as sigmoid_backward
from .activation import silu as silu
from .activation import silu_backward as silu_backward
from .activation import softmax as softmax
from .activation import softmax_backward as softmax_backward
from .activation import softplus as softplus
from .activation import softplus_backward as softplus_backward
from .activation import tanh as tanh
from .activation import tanh_backward as tanh_backward
from .batch_norm import batch_norm as batch_norm
from .batch_norm import batch_norm_backward as batch_norm_backward
from .batch_norm import batch_norm_inference as batch_norm_inference
from .composition import concat as concat
from .composition import concat_backward as concat_backward
from .composition import pad_shortcut as pad_shortcut
from .composition import pad_shortcut_backward as pad_shortcut_backward
from .conv import conv2d as conv2d
from .conv import conv2d_backward as conv2d_backward
from .conv import conv2d_output_shape as conv2d_output_shape
from .conv_transpose import conv1d as conv1d
from .conv_transpose import conv1d_backward as conv1d_backward
from .conv_transpose import conv_transpose2d as conv_transpose2d
from .conv_transpose import conv_transpose2d_backward as conv_transpose2d_backward
from .dropout import dropout as dropout
from .dropout import dropout_backward as dropout_backward
from .elementwise import add as add
from .group_norm import group_norm as group_norm
from .group_norm import group_norm_backward as group_norm_backward
from .group_norm import instance_norm as instance_norm
from .group_norm import instance_norm_backward as instance_norm_backward
from .group_norm import layer_norm as layer_norm
from .group_norm import layer_norm_backward as layer_norm_backward
from .linear import linear as linear
from .linear import linear_backward as linear_backward
from .loss import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from .loss import focal as focal
from .loss import huber as huber
from .loss import l1 as l1
from .loss import mse as mse
from .loss import nll as nll
from .loss import smooth_l1 as smooth_l1
from .loss import softmax_cross_entropy as softmax_cross_entropy
from .optimizers import adagrad_step as adagrad_step
from .optimizers import adam_step as adam_step
from .optimizers import adamw_step as adamw_step
from .optimizers import clip_grad_norm as clip_grad_norm
from .optimizers import ema_step as ema_step
from .optimizers import lion_step as lion_step
from .optimizers import nadam_step as nadam_step
from .optimizers import rmsprop_step as rmsprop_step
from .optimizers import sgd_step as sgd_step
from .pool import avg_pool2d as avg_pool2d
from .pool import avg_pool2d_backward as avg_pool2d_backward
from .pool import global_avg_pool2d as global_avg_pool2d
from .pool import global_avg_pool2d_backward as global_avg_pool2d_backward
from .pool import global_max_pool2d as global_max_pool2d
from .pool import global_max_pool2d_backward as global_max_pool2d_backward
from .pool import max_pool2d as max_pool2d
from .pool import max_pool2d_backward as max_pool2d_backward
from .pool1d import avg_pool1d as avg_pool1d
from .pool1d import avg_pool1d_backward as avg_pool1d_backward
from .pool1d import global_avg_pool1d as global_avg_pool1d
from .pool1d import global_avg_pool1d_backward as global_avg_pool1d_backward
from .pool1d import global_max_pool1d as global_max_pool1d
from .pool1d import global_max_pool1d_backward as global_max_pool1d_backward
from .pool1d import max_pool1d as max_pool1d
from .pool1d import max_pool1d_backward as max_pool1d_backward
from .resample import adaptive_avg_pool2d as adaptive_avg_pool2d
from .resample import adaptive_avg_pool2d_backward as adaptive_avg_pool2d_backward
from .resample import pad2d as pad2d
from .resample import pad2d_backward as pad2d_backward
from .resample import upsample2d as upsample2d
from .resample import upsample2d_backward as upsample2d_backward
