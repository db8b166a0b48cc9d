"""Optimizers: `step()` moves the parameters along their gradients."""

from .adagrad import AdaGrad as AdaGrad
from .adam import Adam as Adam
from .base import Optimizer as Optimizer
from .sgd import SGD as SGD
