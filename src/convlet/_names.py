"""What other libraries have at their top that convlet does not, and what stands in its place."""

_LAYERS = "layers are in convlet itself, such as convlet.Conv2d"
_LOSS = "convlet.softmax_cross_entropy(logits, labels) returns the loss and its gradient"
_LOSSES = "convlet.losses has the other losses, each a function that returns (loss, gradient)"
_RNG = "rng= of a model seeds its weights, rng= of training.fit and data.Batches the order"
_ARRAYS = "models take and return NumPy arrays"
_SAVE = "np.savez(file, **model.state_dict()) saves, model.load_state_dict(np.load(file)) loads"

FOREIGN_NAMES = {
    **dict.fromkeys(("nn", "Module"), f"{_LAYERS}; one of your own derives from convlet.Layer"),
    "functional": "functions of arrays are in convlet.ops",
    "optim": "see convlet.optimizers, and convlet.schedules for lr=",
    **dict.fromkeys(("CrossEntropyLoss", "cross_entropy"), _LOSS),
    **dict.fromkeys(("BCEWithLogitsLoss", "MSELoss", "L1Loss", "HuberLoss", "NLLLoss"), _LOSSES),
    **dict.fromkeys(("tensor", "Tensor", "from_numpy"), _ARRAYS),
    **dict.fromkeys(("manual_seed", "set_seed"), _RNG),
    **dict.fromkeys(("save", "load"), _SAVE),
    **dict.fromkeys(("fit", "evaluate"), "see convlet.training"),
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNormalization"), "use convlet.BatchNorm"),
    **dict.fromkeys(("Dropout2d", "SpatialDropout2D"), "use convlet.Dropout(p, per_channel=True)"),
    **dict.fromkeys(("Upsample", "UpSampling2D"), "use convlet.Upsample2d"),
    "no_grad": "model(x) infers and keeps nothing, model.vjp(x) trains",
    "Model": "models are convlet.Sequential, Residual and Concat",
    "Dense": "use convlet.Linear",
    "GlobalAveragePooling2D": "use convlet.GlobalAvgPool2d",
    "Identity": "use convlet.Sequential()",
    "DataLoader": "use convlet.data.Batches",
}
