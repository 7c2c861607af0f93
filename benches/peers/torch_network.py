"""A network of ours as PyTorch modules: layers as in config.toml, weights as in model.safetensors."""

import sys

import torch
from job import named, pair
from torch import nn

CONV = [("stride", "stride", 1), ("padding", "pad", 0), ("dilation", "dilation", 1)]


class FourierFeatures(nn.Module):
    """A linear layer that is not trained, then a scaled cosine."""

    def __init__(self, features_in, features_out):
        super().__init__()
        self.linear = nn.Linear(features_in, features_out).requires_grad_(False)
        self.scale = (2 / features_out) ** 0.5

    def forward(self, x):
        return self.scale * torch.cos(self.linear(x))


def build(layers, weights, dropout=True):
    """The network with these weights, all of them; without `dropout` such layers let everything through."""
    modules, shape, weights = [], (1, 28, 28), dict(weights)
    for name, layer in named(layers):
        kind = layer["kind"]
        if kind == "conv":
            sizes = {key: pair(layer.get(word, default)) for key, word, default in CONV}
            module = nn.Conv2d(shape[0], layer["out"], pair(layer["kernel"]), **sizes)
        elif kind == "batch_norm":
            norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
            module = norm(shape[0], eps=layer.get("eps", 1e-5), momentum=layer.get("momentum", 0.1))
        elif kind == "relu":
            module = nn.ReLU()
        elif kind in ("max_pool", "avg_pool"):
            pool = nn.MaxPool2d if kind == "max_pool" else nn.AvgPool2d
            stride = pair(layer.get("stride", layer["kernel"]))
            module = pool(pair(layer["kernel"]), stride=stride, padding=pair(layer.get("pad", 0)))
        elif kind == "flatten":
            module = nn.Flatten()
        elif kind == "dense":
            module = nn.Linear(shape[0], layer["out"])
        elif kind == "fourier_features":
            module = FourierFeatures(shape[0], layer["out"])
        elif kind == "dropout":
            module = nn.Dropout(layer["rate"] if dropout else 0.0)
        else:
            sys.exit(f"layer of unknown kind {kind}")
        shape = tuple(module.eval()(torch.zeros(1, *shape)).shape[1:])
        own = {key.split(".")[1]: weights.pop(key) for key in list(weights) if key.split(".")[0] == name}
        state = {key: torch.from_numpy(value.copy()) for key, value in own.items()}
        left = getattr(module, "linear", module).load_state_dict(state, strict=False)
        if left.unexpected_keys or set(left.missing_keys) - {"num_batches_tracked"}:
            sys.exit(f"{name}: {left}")
        modules.append(module)
    if weights:
        sys.exit(f"weights of no layer: {sorted(weights)}")
    return nn.Sequential(*modules)
