"""Loads a run's weights into PyTorch and compares the predictions on the test images.

    python3 tests/pytorch/check_run.py RUN --data FOLDER

RUN is a run folder of `trainer train`: its config.toml says what the network is, its model.safetensors holds the
weights, its summary.json the confusion matrix to come to. FOLDER holds the official .gz files. Needs torch and numpy.
"""

import argparse
import gzip
import json
import math
import pathlib
import sys
import tomllib

import numpy as np
import torch
from torch import nn

CLASSES = 10


class FourierFeatures(nn.Module):
    """A frozen linear layer, then a scaled cosine."""

    def __init__(self, features_in, features_out):
        super().__init__()
        self.linear = nn.Linear(features_in, features_out).requires_grad_(False)
        self.scale = math.sqrt(2 / features_out)

    def forward(self, x):
        return self.scale * torch.cos(self.linear(x))


def per_axis(size):
    return tuple(size) if isinstance(size, list) else (size, size)


def build(layers):
    """The modules in order, with the names that their weights have in the file."""
    modules, names, count = [], [], {}
    shape = (1, 28, 28)
    short = {"dense": "fc", "batch_norm": "bn", "fourier_features": "rff"}
    for layer in layers:
        kind = layer["kind"]
        if kind == "conv":
            module = nn.Conv2d(
                shape[0],
                layer["out"],
                per_axis(layer["kernel"]),
                stride=per_axis(layer.get("stride", 1)),
                padding=per_axis(layer.get("pad", 0)),
                dilation=per_axis(layer.get("dilation", 1)),
            )
        elif kind == "batch_norm":
            norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
            module = norm(shape[0], eps=layer.get("eps", 1e-5), momentum=layer.get("momentum", 0.1))
        elif kind == "relu":
            module = nn.ReLU()
        elif kind in ("max_pool", "avg_pool"):
            pool = nn.MaxPool2d if kind == "max_pool" else nn.AvgPool2d
            kernel = layer["kernel"]
            module = pool(
                per_axis(kernel),
                stride=per_axis(layer.get("stride", kernel)),
                padding=per_axis(layer.get("pad", 0)),
            )
        elif kind == "flatten":
            module = nn.Flatten()
        elif kind == "dense":
            module = nn.Linear(shape[0], layer["out"])
        elif kind == "fourier_features":
            module = FourierFeatures(shape[0], layer["out"])
        elif kind == "dropout":
            module = nn.Dropout(layer["rate"])
        else:
            sys.exit(f"layer of unknown kind {kind}")
        kind = short.get(kind, kind)
        count[kind] = count.get(kind, 0) + 1
        modules.append(module)
        names.append(f"{kind}{count[kind]}")
        shape = tuple(module.eval()(torch.zeros(1, *shape)).shape[1:])
    return modules, names


def read_safetensors(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[8 + length :][begin:end], dtype=np.float32)
        tensors[name] = torch.from_numpy(values.reshape(entry["shape"]).copy())
    return tensors


def read_idx(path, header):
    with gzip.open(path) as file:
        return np.frombuffer(file.read()[header:], dtype=np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    config = tomllib.loads((arguments.run / "config.toml").read_text())
    modules, names = build(config["layers"])
    tensors = read_safetensors(arguments.run / "model.safetensors")
    for module, name in zip(modules, names):
        module = getattr(module, "linear", module)
        own = {key.removeprefix(name + "."): tensors.pop(key) for key in list(tensors) if key.startswith(name + ".")}
        left = module.load_state_dict(own, strict=False)
        missing = [key for key in left.missing_keys if key != "num_batches_tracked"]
        if missing or left.unexpected_keys:
            sys.exit(f"{name}: missing {missing}, unexpected {left.unexpected_keys}")
    if tensors:
        sys.exit(f"weights of no layer: {sorted(tensors)}")

    pixels = read_idx(arguments.data / "t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    labels = read_idx(arguments.data / "t10k-labels-idx1-ubyte.gz", 8)
    x = torch.from_numpy(pixels.astype(np.float32))
    x = x / 255 if config["data"]["normalise"] == "unit" else x / 255 * 2 - 1
    network = nn.Sequential(*modules).eval()
    with torch.no_grad():
        predicted = torch.cat([network(batch).argmax(1) for batch in x.split(500)]).numpy()
    confusion = np.zeros((CLASSES, CLASSES), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    ours = np.array(json.loads((arguments.run / "summary.json").read_text())["test"]["confusion"])
    differing = int(np.abs(confusion - ours).sum()) // 2
    print(f"{config['name']}: PyTorch {np.trace(confusion) / len(labels):.4%}, here {np.trace(ours) / len(labels):.4%};")
    print(f"at least {differing} of {len(labels)} predictions differ")
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
