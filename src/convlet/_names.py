"""Names and options of other libraries that convlet does not have, and what is in their place."""

_LAYERS = "layers are in convlet itself, such as convlet.Conv2d"
_LOSS = "convlet.softmax_cross_entropy(logits, labels) returns the loss and its gradient"
_LOSSES = "convlet.losses has the other losses, each a function that returns (loss, gradient)"
_RNG = "rng= of a model seeds its weights, rng= of training.fit and data.Batches the order"
_ARRAYS = "models take and return NumPy arrays"
_CPU = "everything runs on the CPU"
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
    "MaxPooling2D": "use convlet.MaxPool2d",
    "AveragePooling2D": "use convlet.AvgPool2d",
    "GlobalAveragePooling2D": "use convlet.GlobalAvgPool2d",
    "Conv2DTranspose": "use convlet.ConvTranspose2d",
    **dict.fromkeys(("device", "cuda"), _CPU),
    "set_num_threads": "use convlet.num_threads(n)",
    "Identity": "use convlet.Sequential()",
    "DataLoader": "use convlet.data.Batches",
}

_FIXED = "an option is given once, as a number or a function of the step; repr(optimizer) has them"
_VALUE = "parameter.value is the array"
_FREEZE = "parameter.trainable = False freezes it"
_FOLDED = "it is for inference alone; train and save the model that it was folded from"

# Attributes of optimizers and of parameters, and those of layers that folded models lack.
OPTIMIZER_NAMES = dict.fromkeys(("param_groups", "defaults", "lr", "learning_rate"), _FIXED)
PARAMETER_NAMES = {
    **dict.fromkeys(("data", "numpy", "detach", "item"), _VALUE),
    **dict.fromkeys(("requires_grad", "requires_grad_"), _FREEZE),
    "numel": "parameter.size is the number of elements",
}
FOLDED_NAMES = dict.fromkeys(("vjp", "parameters", "state_dict", "load_state_dict"), _FOLDED)

# Options of layers, optimizers and `training.fit` that have another name here.
RENAMED_OPTIONS = {
    "bias": "use_bias",
    "strides": "stride",
    "filters": "out_channels",
    "units": "out_features",
    "pool_size": "kernel_size",
    **dict.fromkeys(("num_features", "num_channels"), "channels"),
    "num_groups": "groups",
    "elementwise_affine": "affine",
    "epsilon": "eps",
    "rate": "p",
    **dict.fromkeys(("negative_slope", "alpha"), "slope"),
    "dim": "axis",
    **dict.fromkeys(("scale_factor", "size"), "scale"),
    "learning_rate": "lr",
    "validation_data": "test",
    "callbacks": "progress",
    "seed": "rng",
}

# And those that nothing takes.
FOREIGN_OPTIONS = {
    "inplace": "leave it out: no layer writes to its x",
    "padding_mode": "a layer Pad2d before it pads by other modes than zeros",
    "activation": "put it after the layer, such as ReLU()",
    **dict.fromkeys(("input_shape", "input_dim"), "leave it out: x tells its size"),
    "dtype": "model.astype(np.float64) is a copy in another dtype",
    "device": _CPU,
    "kernel_initializer": "assign to layer.weight.value what convlet.init draws",
    "validation_split": "cut the data yourself and pass test=(x, y)",
    "verbose": "fit prints nothing; progress= is called after every batch",
}
