"""Steps: what a plan runs, one kernel each way, on values that have been checked.

A step has three methods. `infer(values, threads)` computes its value from others. `forward(run)`
does so for training, and keeps in `run.kept` what `backward` needs besides values. `backward(run)`
takes the gradient of its value, gives those of its inputs that are wanted, and adds to the
gradients of parameters. What the shapes decide is settled when a step is made; everything else,
such as a weight or an epsilon, is read from the layer when it is used.
"""

from .base import LayerStep as LayerStep
from .base import Step as Step
from .conv import ConvStep, LinearStep
from .join import AddStep, ConcatStep, FlattenStep
from .norm import NormPoolStep, NormStep, NormSumStep
from .pool import AvgPoolStep, MaxPoolStep

# What no layer alone computes: steps without fusion, too.
JOINTS = {"add": AddStep, "concat": ConcatStep}
STEPS = JOINTS | {
    "conv2d": ConvStep,
    "batch_norm": NormStep,
    "batch_norm_pool": NormPoolStep,
    "batch_norm_sum": NormSumStep,
    "linear": LinearStep,
    "max_pool2d": MaxPoolStep,
    "avg_pool2d": AvgPoolStep,
    "global_avg_pool2d": AvgPoolStep,
    "flatten": FlattenStep,
}
