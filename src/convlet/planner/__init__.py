"""The planner turns a model and a shape into a short list of kernels, once.

`graph` flattens the model, `fusion` joins nodes that one kernel can compute, `steps` has the
kernels' calls, `plan` keeps and runs the plan of each shape, and `report` shows it. `fold` makes a
copy of a model for inference, and `program` compiles its plan into one call of the core.
"""

from .fold import FoldedModel as FoldedModel
from .graph import Where as Where
from .plan import Pass as Pass
from .plan import Planned as Planned
from .report import Report as Report
