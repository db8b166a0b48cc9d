"""Attributes that layers do not have: names of other libraries, and what to use instead."""

from __future__ import annotations

from ..parameter import Parameter
from .arguments import epsilon, momentum

_MODE = "there are no modes: model(x) infers, model.vjp(x) trains"
_LOGITS = "model(x) gives logits, convlet.softmax(model(x)) probabilities"
_FIT = "convlet.training.fit(model, optimizer, x, y, epochs=..., batch_size=...) trains"
_EVALUATE = "convlet.training.evaluate(model, x, y) is the accuracy"
_FREEZE = "model.freeze() and model.unfreeze() say what trains"
_STATE = "model.state_dict() has the arrays, model.load_state_dict(state) takes them"
_SAVE = "np.savez(file, **model.state_dict()) saves, model.load_state_dict(np.load(file)) loads"
_DTYPE = "model.astype(np.float64) and model.astype(np.float32) are new models"
_LAYERS = "list(model) has the layers, and Sequential(*model, layer) is a model of one more"

FOREIGN_NAMES = {
    **dict.fromkeys(("train", "eval", "training"), _MODE),
    **dict.fromkeys(("predict", "predict_proba"), _LOGITS),
    **dict.fromkeys(("fit", "compile"), _FIT),
    **dict.fromkeys(("evaluate", "score"), _EVALUATE),
    **dict.fromkeys(("requires_grad", "requires_grad_"), _FREEZE),
    **dict.fromkeys(("weights", "get_weights", "set_weights"), _STATE),
    **dict.fromkeys(("save", "save_weights", "load", "load_weights"), _SAVE),
    **dict.fromkeys(("to", "double", "float", "half"), _DTYPE),
    **dict.fromkeys(("layers", "add", "append", "pop", "children", "modules"), _LAYERS),
    **dict.fromkeys(("cuda", "cpu"), "everything runs on the CPU"),
    "backward": "y, pullback = model.vjp(x), and pullback(dy) is the way back",
    "zero_grad": "optimizer.zero_grad() clears the gradients",
    "count_params": "model.summary(shape).parameters is their number",
}

_PAIRS = ("kernel_size", "stride", "padding", "dilation", "output_padding", "scale")


def check_assignment(layer, name, value, layer_class):
    """Raise if setting this attribute would have no effect, or is what no constructor keeps."""
    kind = type(layer).__name__
    if layer._kind and name in vars(layer):
        if name in _PAIRS and not isinstance(value, (tuple, str)):
            raise TypeError(
                f"{kind}: expected {name} to be set to a tuple, such as the {vars(layer)[name]} "
                f"that it is, got {value!r}"
            )
        if name == "eps":
            epsilon(value, kind)
        if name == "momentum" and value is not None:
            momentum(value, kind)
    if name in ("training", "requires_grad"):
        raise AttributeError(f"{kind}: {name} cannot be set; {FOREIGN_NAMES[name]}")
    if name in layer.parameter_names:
        if value is not None and not isinstance(value, Parameter):
            raise TypeError(
                f"{kind}: expected {name} to be a Parameter, got {type(value).__name__}; to change "
                f"its numbers assign to {name}.value"
            )
    elif isinstance(value, Parameter):
        raise TypeError(
            f"{kind}: {name} would be neither trained nor saved: name it in parameter_names, as in "
            f"parameter_names = {(*layer.parameter_names, name)}"
        )
    elif type(layer)._children is layer_class._children:
        within = value.values() if isinstance(value, dict) else value
        within = within if isinstance(value, (list, tuple, dict)) else [value]
        if any(isinstance(v, (layer_class, Parameter)) for v in within):
            raise TypeError(
                f"{kind}: what {name} holds would be neither trained nor saved; layers that hold "
                f"others are made of Sequential, Residual and Concat"
            )
