"""Losses: f(prediction, target, ...) -> (loss, gradient of the loss with respect to prediction)."""

from .ops import softmax_cross_entropy as softmax_cross_entropy
