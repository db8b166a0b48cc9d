"""States of models on their way in and out: safetensors files, and the weights of PyTorch."""

from .pytorch import from_pytorch as from_pytorch
from .safetensors import read_safetensors as read_safetensors
from .safetensors import write_safetensors as write_safetensors

__all__ = ["from_pytorch", "read_safetensors", "write_safetensors"]
