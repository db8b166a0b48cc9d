"""Optimizers, gradient clipping, moving averages of weights, and parameter groups."""

from .adagrad import AdaGrad as AdaGrad
from .adam import Adam as Adam
from .adamw import AdamW as AdamW
from .base import Optimizer as Optimizer
from .clip import clip_grad_norm as clip_grad_norm
from .clip import clip_grad_value as clip_grad_value
from .ema import EMA as EMA
from .group import group as group
from .lion import Lion as Lion
from .nadam import NAdam as NAdam
from .rmsprop import RMSProp as RMSProp
from .sgd import SGD as SGD
