"""Types of the extension: arrays dense, native and of one dtype, outputs first (see _core.pyx)."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

_Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
_Geometry: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int, int, int]
_Segment: TypeAlias = tuple[_Floats, _Floats | None, _Floats | None, _Floats | None, _Floats | None]

class Block:
    def __buffer__(self, flags: int, /) -> memoryview: ...

class Program:
    def __new__(
        cls, code: str, values: list[tuple[int, int]], ops: list[tuple[Any, ...]], arena: int
    ) -> Program: ...
    def workspace(self, threads: int) -> int: ...
    def run(
        self,
        y: _Floats,
        x: _Floats,
        threads: int,
        given: Sequence[tuple[int, _Floats]] = (),
        made: Sequence[tuple[int, _Floats]] = (),
    ) -> None: ...

def isa() -> str: ...
def isa_levels() -> tuple[str, ...]: ...
def thread_backend() -> str: ...
def openmp_cpus() -> int: ...
def empty(shape: tuple[int, ...], code: str) -> NDArray[Any]: ...
def clear_cache() -> None: ...
def cache_info() -> dict[str, int]: ...
def conv2d_forward(
    y: _Floats, x: _Floats, w: _Floats, b: _Floats | None, geometry: _Geometry, threads: int
) -> None: ...
def conv2d_backward_data(
    dx: _Floats, dy: _Floats, w: _Floats, geometry: _Geometry, threads: int
) -> None: ...
def conv2d_backward_weights(
    dw: _Floats | None,
    db: _Floats | None,
    dy: _Floats,
    x: _Floats,
    geometry: _Geometry,
    threads: int,
) -> None: ...
def conv2d_choose(
    direction: str, code: str, x_shape: tuple[int, ...], out_channels: int, geometry: _Geometry
) -> tuple[int | None, str]: ...
def conv2d_workspace(
    direction: str,
    code: str,
    x_shape: tuple[int, int, int, int],
    OC: int,
    geometry: _Geometry,
    threads: int,
) -> int: ...
def conv_transpose2d_forward(
    y: _Floats,
    x: _Floats,
    w: _Floats,
    b: _Floats | None,
    geometry: tuple[int, ...],
    threads: int,
) -> None: ...
def conv_transpose2d_backward_data(
    dx: _Floats, dy: _Floats, w: _Floats, geometry: tuple[int, ...], threads: int
) -> None: ...
def conv_transpose2d_backward_weights(
    dw: _Floats | None,
    db: _Floats | None,
    dy: _Floats,
    x: _Floats,
    geometry: tuple[int, ...],
    threads: int,
) -> None: ...
def concat_forward(
    y: _Floats, x: tuple[_Floats, ...], channels: tuple[int, ...], threads: int
) -> None: ...
def concat_backward(
    dx: tuple[_Floats | None, ...], channels: tuple[int, ...], dy: _Floats, threads: int
) -> None: ...
def pad_shortcut_forward(y: _Floats, x: _Floats, stride: int, threads: int) -> None: ...
def pad_shortcut_backward(dx: _Floats, dy: _Floats, stride: int, threads: int) -> None: ...
def pad2d_forward(
    y: _Floats, x: _Floats, geometry: tuple[int, int, int, int, int], value: float, threads: int
) -> None: ...
def pad2d_backward(
    dx: _Floats, dy: _Floats, geometry: tuple[int, int, int, int, int], value: float, threads: int
) -> None: ...
def upsample2d_forward(
    y: _Floats, x: _Floats, geometry: tuple[int, int, int, int], threads: int
) -> None: ...
def upsample2d_backward(
    dx: _Floats, dy: _Floats, geometry: tuple[int, int, int, int], threads: int
) -> None: ...
def adaptive_avg_pool2d_forward(
    y: _Floats, x: _Floats, geometry: tuple[int, int], threads: int
) -> None: ...
def adaptive_avg_pool2d_backward(
    dx: _Floats, dy: _Floats, geometry: tuple[int, int], threads: int
) -> None: ...
def dropout(
    y: _Floats,
    x: _Floats,
    p: float,
    seed: int,
    counter: int,
    per_channel: bool,
    threads: int,
) -> None: ...
def conv2d(
    x: Any,
    w: Any,
    b: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    algorithm: Any,
    get_threads: Callable[[], int],
) -> NDArray[Any] | None: ...
def conv2d_gradients(
    dy: Any,
    x: Any,
    w: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    needs: Any,
    algorithm: Any,
    get_threads: Callable[[], int],
) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None] | None: ...
def batch_norm(
    x: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    eps: Any,
    activation: Any,
    get_threads: Callable[[], int],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None: ...
def batch_norm_by_statistics(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    residual: Any,
    eps: Any,
    activation: Any,
    get_threads: Callable[[], int],
) -> NDArray[Any] | None: ...
def batch_norm_gradients(
    dy: Any,
    x: Any,
    gamma: Any,
    mean: Any,
    var: Any,
    eps: Any,
    beta: Any,
    y: Any,
    activation: Any,
    residual: bool,
    frozen: bool,
    get_threads: Callable[[], int],
) -> tuple[NDArray[Any], ...] | None: ...
def layer_norm(
    x: Any, gamma: Any, beta: Any, eps: Any, get_threads: Callable[[], int]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None: ...
def layer_norm_gradients(
    dy: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: Any, get_threads: Callable[[], int]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None: ...
def group_norm(
    x: Any, gamma: Any, beta: Any, groups: Any, eps: Any, get_threads: Callable[[], int]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None: ...
def group_norm_gradients(
    dy: Any,
    x: Any,
    gamma: Any,
    mean: Any,
    var: Any,
    groups: Any,
    eps: Any,
    get_threads: Callable[[], int],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None: ...
def linear(x: Any, w: Any, b: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def linear_gradients(
    dy: Any,
    x: Any,
    w: Any,
    needs_dx: bool,
    needs_dw: bool,
    needs_db: bool,
    get_threads: Callable[[], int],
) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None] | None: ...
def linear_forward(y: _Floats, x: _Floats, w: _Floats, b: _Floats | None, threads: int) -> None: ...
def linear_backward_data(dx: _Floats, dy: _Floats, w: _Floats, threads: int) -> None: ...
def linear_backward_weights(
    dw: _Floats | None, db: _Floats | None, dy: _Floats, x: _Floats, threads: int
) -> None: ...
def batch_norm_forward(
    y: _Floats,
    mean: NDArray[np.float64],
    var: NDArray[np.float64],
    x: _Floats,
    gamma: _Floats,
    beta: _Floats,
    residual: _Floats | None,
    eps: float,
    activation: int,
    threads: int,
) -> None: ...
def batch_norm_inference(
    y: _Floats,
    x: _Floats,
    gamma: _Floats,
    beta: _Floats,
    mean: NDArray[np.float64],
    var: NDArray[np.float64],
    residual: _Floats | None,
    eps: float,
    activation: int,
    threads: int,
) -> None: ...
def running_move(
    next_mean: _Floats,
    next_var: _Floats,
    running_mean: _Floats,
    running_var: _Floats,
    statistics: NDArray[np.float64],
    weight: float,
    unbias: float,
) -> bool: ...
def batch_norm_backward(
    dx: _Floats | None,
    dgamma: _Floats,
    dbeta: _Floats,
    dresidual: _Floats | None,
    dy: _Floats,
    x: _Floats,
    y: _Floats | None,
    gamma: _Floats,
    beta: _Floats | None,
    mean: NDArray[np.float64],
    var: NDArray[np.float64],
    eps: float,
    activation: int,
    frozen: bool,
    threads: int,
) -> None: ...
def batch_norm_sum_forward(
    y: _Floats, a: tuple[Any, ...], b: tuple[Any, ...], activation: int, threads: int
) -> None: ...
def batch_norm_sum_backward(
    a_gradients: tuple[Any, ...],
    b_gradients: tuple[Any, ...],
    dy: _Floats,
    y: _Floats | None,
    a: tuple[Any, ...],
    b: tuple[Any, ...],
    activation: int,
    threads: int,
) -> None: ...
def group_norm_forward(
    y: _Floats,
    mean: NDArray[np.float64],
    var: NDArray[np.float64],
    x: _Floats,
    gamma: _Floats | None,
    beta: _Floats | None,
    eps: float,
    threads: int,
) -> None: ...
def group_norm_backward(
    dx: _Floats | None,
    dgamma: _Floats,
    dbeta: _Floats,
    dy: _Floats,
    x: _Floats,
    gamma: _Floats | None,
    mean: NDArray[np.float64],
    var: NDArray[np.float64],
    eps: float,
    threads: int,
) -> None: ...
def softmax_forward(z: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def log_softmax_forward(z: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def softmax_backward(dy: Any, y: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def log_softmax_backward(
    dy: Any, y: Any, get_threads: Callable[[], int]
) -> NDArray[Any] | None: ...
def softmax_cross_entropy(
    loss: NDArray[np.float64],
    dz: _Floats,
    z: _Floats,
    labels: NDArray[np.int64],
    class_weight: _Floats | None,
    sample_weight: _Floats | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: int,
    empty: int,
    threads: int,
) -> None: ...
def softmax_cross_entropy_soft(
    loss: NDArray[np.float64],
    dz: _Floats,
    z: _Floats,
    q: _Floats,
    class_weight: _Floats | None,
    sample_weight: _Floats | None,
    label_smoothing: float,
    reduction: int,
    empty: int,
    threads: int,
) -> None: ...
def nll(
    loss: NDArray[np.float64],
    dx: _Floats,
    x: _Floats,
    labels: NDArray[np.int64],
    class_weight: _Floats | None,
    sample_weight: _Floats | None,
    ignore_index: int | None,
    reduction: int,
    empty: int,
    threads: int,
) -> None: ...
def mse(
    loss: NDArray[np.float64],
    dx: _Floats,
    x: _Floats,
    y: _Floats,
    reduction: int,
    threads: int,
) -> None: ...
def l1(
    loss: NDArray[np.float64],
    dx: _Floats,
    x: _Floats,
    y: _Floats,
    reduction: int,
    threads: int,
) -> None: ...
def huber(
    loss: NDArray[np.float64],
    dx: _Floats,
    x: _Floats,
    y: _Floats,
    delta: float,
    reduction: int,
    threads: int,
) -> None: ...
def smooth_l1(
    loss: NDArray[np.float64],
    dx: _Floats,
    x: _Floats,
    y: _Floats,
    beta: float,
    reduction: int,
    threads: int,
) -> None: ...
def focal(
    loss: NDArray[np.float64],
    dx: _Floats,
    x: _Floats,
    y: _Floats,
    gamma: float,
    positive: float,
    negative: float,
    reduction: int,
    threads: int,
) -> None: ...
def binary_cross_entropy(
    loss: NDArray[np.float64],
    dx: _Floats,
    x: _Floats,
    y: _Floats,
    positive_weight: _Floats | None,
    weight: _Floats | None,
    reduction: int,
    threads: int,
) -> None: ...
def options_from(chosen: Callable[[], Any], default: Callable[[], Any]) -> None: ...
def relu_forward(x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def relu_backward(dy: Any, y: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def leaky_relu_forward(
    x: Any, slope: float, get_threads: Callable[[], int]
) -> NDArray[Any] | None: ...
def leaky_relu_backward(
    dy: Any, y: Any, slope: float, get_threads: Callable[[], int]
) -> NDArray[Any] | None: ...
def relu6_forward(x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def relu6_backward(dy: Any, y: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def sigmoid_forward(x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def sigmoid_backward(dy: Any, y: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def tanh_forward(x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def tanh_backward(dy: Any, y: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def elu_forward(x: Any, alpha: float, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def elu_backward(
    dy: Any, y: Any, alpha: float, get_threads: Callable[[], int]
) -> NDArray[Any] | None: ...
def gelu_forward(x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def gelu_backward(dy: Any, x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def gelu_tanh_forward(x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def gelu_tanh_backward(dy: Any, x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def silu_forward(x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def silu_backward(dy: Any, x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def hard_swish_forward(x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def hard_swish_backward(dy: Any, x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def softplus_forward(x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def softplus_backward(dy: Any, x: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def add(a: Any, b: Any, get_threads: Callable[[], int]) -> NDArray[Any] | None: ...
def relu_backward_into(dx: _Floats, dy: _Floats, y: _Floats, threads: int) -> None: ...
def add_into(y: _Floats, a: _Floats, b: _Floats, threads: int) -> None: ...
def add_relu_into(y: _Floats, a: _Floats, b: _Floats, threads: int) -> None: ...
def max_pool2d_forward(y: _Floats, x: _Floats, geometry: _Geometry, threads: int) -> None: ...
def max_pool2d_backward(
    dx: _Floats, dy: _Floats, x: _Floats, geometry: _Geometry, threads: int
) -> None: ...
def max_pool2d_forward_winners(
    y: _Floats, winners: NDArray[np.uint8], x: _Floats, geometry: _Geometry, threads: int
) -> None: ...
def max_pool2d_backward_winners(
    dx: _Floats, dy: _Floats, winners: NDArray[np.uint8], geometry: _Geometry, threads: int
) -> None: ...
def batch_norm_max_pool2d_forward(
    y: _Floats,
    winners: NDArray[np.uint8] | None,
    statistics: NDArray[np.float64],
    x: _Floats,
    gamma: _Floats,
    beta: _Floats,
    eps: float,
    activation: int,
    frozen: bool,
    geometry: _Geometry,
    threads: int,
) -> None: ...
def avg_pool2d_forward(y: _Floats, x: _Floats, geometry: _Geometry, threads: int) -> None: ...
def avg_pool2d_backward(dx: _Floats, dy: _Floats, geometry: _Geometry, threads: int) -> None: ...
def sgd_step(
    segments: Sequence[_Segment],
    lr: float,
    momentum: float,
    dampening: float,
    l2: float,
    weight_decay: float,
    nesterov: bool,
    first: bool,
    scale: float,
    clear: bool,
    threads: int,
) -> None: ...
def adam_step(
    segments: Sequence[_Segment],
    lr: float,
    beta1: float,
    beta2: float,
    correction1: float,
    correction2: float,
    eps: float,
    l2: float,
    weight_decay: float,
    eps_hat: bool,
    amsgrad: bool,
    scale: float,
    clear: bool,
    threads: int,
) -> None: ...
def adagrad_step(
    segments: Sequence[_Segment],
    lr: float,
    eps: float,
    l2: float,
    scale: float,
    clear: bool,
    threads: int,
) -> None: ...
def nadam_step(
    segments: Sequence[_Segment],
    lr: float,
    beta1: float,
    beta2: float,
    mu: float,
    next_mu: float,
    correction1: float,
    next_correction1: float,
    correction2: float,
    eps: float,
    scale: float,
    clear: bool,
    threads: int,
) -> None: ...
def rmsprop_step(
    segments: Sequence[_Segment],
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
    l2: float,
    centered: bool,
    scale: float,
    clear: bool,
    threads: int,
) -> None: ...
def lion_step(
    segments: Sequence[_Segment],
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    scale: float,
    clear: bool,
    threads: int,
) -> None: ...
def clip(segments: Sequence[_Segment], limit: float, threads: int) -> None: ...
def scale(segments: Sequence[_Segment], factor: float, threads: int) -> None: ...
def blend(segments: Sequence[_Segment], rate: float, threads: int) -> None: ...
def sum_squares(sums: NDArray[np.float64], segments: Sequence[_Segment], threads: int) -> None: ...
