"""The planner: from a tree of layers and a shape to a short list of kernels, made once.

`graph` flattens the tree, `fusion` joins what one kernel can do, `steps` runs the kernels, `plan`
keeps what was planned for each shape and runs it, `report` shows it. `fold` makes a copy of a model
for inference, and `program` turns its plan into one call of the core.
"""

from .fold import FoldedModel as FoldedModel
from .graph import Where as Where
from .plan import Pass as Pass
from .plan import Planned as Planned
from .report import Report as Report
