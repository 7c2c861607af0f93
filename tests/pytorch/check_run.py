"""Loads a run's weights into PyTorch and compares the predictions on the test images.

    python3 tests/pytorch/check_run.py RUN --data FOLDER

RUN is a run folder of `trainer train`: its config.toml says what the network is, its model.safetensors holds the
weights, its summary.json the confusion matrix to come to. FOLDER holds the official .gz files. Needs torch and numpy.
"""

import argparse
import gzip
import json
import pathlib
import sys
import tomllib

import numpy as np
import torch

sys.path.append(str(pathlib.Path(__file__).parents[2] / "benches/peers"))
from job import read_safetensors
from torch_network import build

CLASSES = 10


def read_idx(path, header):
    with gzip.open(path) as file:
        return np.frombuffer(file.read()[header:], dtype=np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    config = tomllib.loads((arguments.run / "config.toml").read_text())
    network = build(config["layers"], read_safetensors(arguments.run / "model.safetensors")).eval()
    pixels = read_idx(arguments.data / "t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    labels = read_idx(arguments.data / "t10k-labels-idx1-ubyte.gz", 8)
    x = torch.from_numpy(pixels.astype(np.float32))
    x = x / 255 if config["data"]["normalise"] == "unit" else x / 255 * 2 - 1
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
