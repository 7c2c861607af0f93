"""What the Python peers share: the job that run.py describes, and the rounds that it asks for."""

import json
import pathlib
import sys
import time

import numpy as np

SHORT = {"dense": "fc", "batch_norm": "bn", "fourier_features": "rff"}
HEIGHT = WIDTH = 28


def pair(size):
    """A size along height and width."""
    return tuple(size) if isinstance(size, list) else (size, size)


class Job:
    """A network, its initial weights, and the images it is trained on."""

    def __init__(self, path):
        job = json.loads(pathlib.Path(path).read_text())
        self.layers, self.optimizer, self.loss = job["layers"], job["optimizer"], job["loss"]
        self.batch, self.steps, self.checked = job["batch"], job["steps"], job["checked"]
        self.device, self.threads, self.seconds = job["device"], job["threads"], job["seconds"]
        self.scale, self.offset = job["scale"], job["offset"]
        images = self.batch * max(self.steps, self.checked)
        pixels = np.fromfile(job["images"], dtype=np.uint8, count=images * HEIGHT * WIDTH)
        self.pixels = pixels.reshape(images, 1, HEIGHT, WIDTH)
        self.labels = np.fromfile(job["labels"], dtype=np.uint8, count=images).astype(np.int32)
        self.weights = read_safetensors(job["weights"])

    def has_dropout(self):
        return any(layer["kind"] == "dropout" and layer["rate"] > 0 for layer in self.layers)


def named(layers):
    """Every layer with the name that its weights have."""
    count = {}
    for layer in layers:
        kind = SHORT.get(layer["kind"], layer["kind"])
        count[kind] = count.get(kind, 0) + 1
        yield f"{kind}{count[kind]}", layer


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[8 + length :][begin:end], dtype=np.float32)
        tensors[name] = values.reshape(entry["shape"]).copy()
    return tensors


def say(**answer):
    print(json.dumps(answer), flush=True)


def serve(job, what, device, check, run):
    """Answers run.py: first with the losses of the first steps without dropout, then with the time of every round.

    `check()` gives those losses; `run(n)` trains n steps, waits until the device has done them, and gives the last loss.
    """
    losses = check()
    # Compile, allocate, and find out how long a step takes.
    run(3)
    begin = time.perf_counter()
    run(3)
    step = (time.perf_counter() - begin) / 3
    steps = min(job.steps, max(5, int(job.seconds / step)))
    run(min(steps, max(1, int(5 / step))))
    say(what=what, device=device, losses=losses)
    for _ in sys.stdin:
        begin = time.perf_counter()
        loss = run(steps)
        say(steps=steps, seconds=time.perf_counter() - begin, loss=loss)
