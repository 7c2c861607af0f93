#!/usr/bin/env python3
"""Trains the same networks here and in other frameworks, in turn on one machine, and writes one table.

    python3 benches/peers/run.py lenet5 depth2

Every program gets the same images in the same order, the same initial weights and the same optimiser. First each trains
some steps without dropout, and the losses are compared. Then, round by round and in turn, each trains as many steps of
the recipe as it is, and the wall clock is read. Needs Python 3.11 and nothing else; a framework that is not installed is
left out, with a word on how to install it. README.md says more.
"""

import argparse
import gzip
import json
import math
import os
import pathlib
import platform
import queue
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FILES = {"images": ("train-images-idx3-ubyte.gz", 16), "labels": ("train-labels-idx1-ubyte.gz", 8)}
THREADS = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "LP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
NUMBER = {"unit": (1 / 255, 0.0), "symmetric": (2 / 255, -1.0)}


class Skip(Exception):
    """A program or a network cannot take part; why."""


def main():
    options = arguments()
    options.threads = min(options.threads, len(cpus()))
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        work = pathlib.Path(folder)
        data = find_data(options)
        for what, (name, header) in FILES.items():
            with gzip.open(data / name) as packed:
                (work / what).write_bytes(packed.read()[header:])
        networks = []
        for recipe in options.recipes:
            try:
                networks.append(Network(options, work, data, recipe).measure())
            except Skip as reason:
                say(f"{recipe} is left out: {reason}")
    if not networks:
        return 1
    adapter = networks[0]["adapter"]
    result = {
        "adapter": adapter,
        "cpu": cpu_name(),
        "threads": options.threads,
        "steps": options.steps,
        "rounds": options.rounds,
        "checked": options.checked,
        "tolerance": options.tolerance,
        "networks": networks,
    }
    text = page(result)
    print(text)
    name = "peers-" + re.sub(r"[^a-z0-9]+", "-", adapter["name"].lower()).strip("-")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{name}.md").write_text(text)
    (options.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    say(f"written: {options.out / name}.md and .json")
    if len(networks) < len(options.recipes):
        return 1
    entries = [entry for network in networks for entry in network["programs"]]
    return 1 if any(entry.get("agrees") is False for entry in entries) else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("recipes", nargs="*", default=["lenet5", "depth2"], help="names or files, as for `trainer train`")
    add("--trainer", type=pathlib.Path, help="our program [default: as built by cargo]")
    add("--data", type=pathlib.Path, help="folder with the official .gz files [default: where the trainer looks]")
    add("--python", default=sys.executable, help="the Python that has the frameworks")
    add("--burn", type=pathlib.Path, help="the peer in burn [default: as built in benches/peers/burn]")
    add("--only", help="take only programs with one of these words in their names: ours,torch,jax,burn")
    add("--steps", type=int, default=100, help="steps of a round")
    add("--rounds", type=int, default=5)
    add("--checked", type=int, default=50, help="steps whose losses are compared")
    add("--tolerance", type=float, default=1e-3, help="by how much a loss may differ, relatively")
    add("--seconds", type=float, default=20, help="a program too slow for a round in this time takes fewer steps")
    add("--threads", type=int, default=len(cpus()), help="CPUs that each program may use")
    add("--device", choices=["cpu", "cuda"], help="of the peers [default: cuda unless ours runs on a CPU]")
    add("--adapter", help="for ours: part of the adapter's name")
    add("--before", metavar="COMMAND", help="run this before every turn, such as a script that waits for an idle machine")
    add("--out", type=pathlib.Path, default=ROOT / "docs" / "results", help="folder of the table")
    options = parser.parse_args()
    names = [HERE / "trainer", HERE.parent / "trainer", ROOT / "target" / "release" / "trainer"]
    options.trainer = options.trainer or next((name for name in names if name.is_file()), None)
    if options.trainer is None or not options.trainer.is_file():
        sys.exit("our program is not built; run `cargo build --release -p trainer`, or give --trainer FILE")
    options.burn = options.burn or HERE / "burn" / "target" / "release" / "burn_peer"
    return options


def cpus():
    available = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    return sorted(available)


def find_data(options):
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    named = os.environ.get("FASHION_MNIST_DIR")
    folders = [options.data, named and pathlib.Path(named), home / "selvedge" / "fashion-mnist"]
    for folder in filter(None, folders):
        if all((folder / name).is_file() for name, _ in FILES.values()):
            return folder
    sys.exit("Fashion-MNIST is not here: give --data FOLDER with the official .gz files, or train once to download it")


def say(line):
    print(line, file=sys.stderr, flush=True)


def environment(threads):
    changed = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", XLA_PYTHON_CLIENT_PREALLOCATE="false")
    changed.update({name: str(threads) for name in THREADS})
    return changed


def start(options, command, **pipes):
    """Starts a program on as many CPUs as all others get."""
    own = cpus()[: options.threads]
    pin = (lambda: os.sched_setaffinity(0, own)) if hasattr(os, "sched_setaffinity") else None
    command = [str(word) for word in command]
    return subprocess.Popen(command, env=environment(options.threads), preexec_fn=pin, text=True, **pipes)


class Network:
    """One recipe, measured in every program."""

    def __init__(self, options, work, data, recipe):
        self.options, self.data, self.recipe = options, data, recipe
        self.work = work / re.sub(r"\W+", "-", pathlib.Path(recipe).stem)
        self.work.mkdir()
        self.runs = 0

    def train(self, name, *words):
        """A run of ours, in order, without validation; its folder."""
        self.runs += 1
        out = self.work / f"{name}-{self.runs}"
        command = [self.options.trainer, "train", self.recipe, "--order", "sequential", "--validation", 0]
        command += ["--data-dir", self.data, "--no-synthetic", "--no-report", "--quiet", "--out", out]
        command += ["--set", "data.validate_on_test=false", *words]
        if self.options.adapter:
            command += ["--adapter", self.options.adapter]
        child = start(self.options, command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        _, errors = child.communicate()
        if child.returncode:
            raise Skip(f"the run `{name}` ended with exit code {child.returncode}: {errors.strip()[-500:]}")
        return out

    def measure(self):
        options = self.options
        begin = self.train("start", "--max-steps", 1)
        config = tomllib.loads((begin / "config.toml").read_text())
        schedule = config.get("schedule", {}).get("kind", "constant")
        treated = [key for key in ("augment", "erasing", "early_stopping") if key in config]
        if treated or schedule != "constant" or "clip_grad_norm" in config["train"]:
            raise Skip(f"the peers do not do {', '.join(treated) or 'its schedule or its clipping'}")
        adapter = json.loads((begin / "summary.json").read_text())["adapter"]
        device = options.device or ("cpu" if adapter["device_type"] == "cpu" else "cuda")
        scale, offset = NUMBER[config["data"]["normalise"]]
        self.batch = config["train"]["batch_size"]
        job = {
            "layers": config["layers"],
            "optimizer": config["optimizer"],
            "loss": config["loss"],
            "scale": scale,
            "offset": offset,
            "batch": self.batch,
            "steps": options.steps,
            "checked": options.checked,
            "seconds": options.seconds,
            "threads": options.threads,
            "device": device,
            "weights": str(begin / "model.safetensors"),
            "images": str(self.work.parent / "images"),
            "labels": str(self.work.parent / "labels"),
        }
        self.weights = begin / "model.safetensors"
        self.dropout = any(layer["kind"] == "dropout" for layer in config["layers"])
        path = self.work / "job.json"
        path.write_text(json.dumps(job))

        programs = [program for program in self.programs(device, path) if program.wanted(options.only)]
        taking_part = []
        for program in programs:
            say(f"{self.recipe}: {program.name} gets ready")
            try:
                program.prepare()
                taking_part.append(program)
            except Skip as reason:
                program.skipped = str(reason)
                say(f"{self.recipe}: {program.name} is left out: {reason}")
        say(f"{self.recipe}: measuring")
        for number in range(options.rounds):
            # Nobody is always the first.
            turn = number % max(1, len(taking_part))
            for program in taking_part[turn:] + taking_part[:turn]:
                if options.before:
                    subprocess.run(options.before, shell=True, check=True)
                try:
                    program.times.append(program.round())
                    say(f"{self.recipe}: round {number + 1}, {program.name}: {program.times[-1]:.3f} ms")
                except Skip as reason:
                    program.skipped = str(reason)
            taking_part = [program for program in taking_part if not program.skipped]
        say(f"{self.recipe}: measured")
        for program in programs:
            program.end()
        ours = programs[0]
        if ours.skipped:
            raise Skip(ours.skipped)
        return {
            "recipe": config["name"],
            "batch": self.batch,
            "optimizer": config["optimizer"]["kind"],
            "adapter": adapter,
            "programs": [program.entry(ours) for program in programs],
        }

    def programs(self, device, job):
        python = self.options.python
        yield Ours("ours", self, [])
        yield Ours("ours, eager", self, ["--eager"])
        pip = f"`{python} -m pip install -r {shown(HERE / 'requirements.txt')}` installs it"
        for variant in ["eager", "compiled"] + (["tf32"] if device == "cuda" else []):
            command = [python, HERE / "torch_peer.py", job, variant]
            yield Peer(f"torch {variant}", self.options, command, self.has_module("torch", pip))
        yield Peer("jax", self.options, [python, HERE / "jax_peer.py", job], self.has_module("jax", pip))
        built = "`cargo build --release --manifest-path benches/peers/burn/Cargo.toml` builds it"
        for backend in ["webgpu"] + (["flex"] if device == "cpu" else []):
            missing = None if self.options.burn.is_file() else built
            yield Peer(f"burn {backend}", self.options, [self.options.burn, job, backend], missing)

    def has_module(self, module, advice):
        """None if the framework is there, else what to do."""
        look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)"
        try:
            there = subprocess.run([self.options.python, "-c", look], capture_output=True).returncode == 0
        except OSError as error:
            return f"{self.options.python}: {error.strerror}"
        return None if there else advice


class Program:
    """One that takes part."""

    def __init__(self, name):
        self.name, self.what, self.device = name, name, ""
        self.losses, self.times, self.steps, self.skipped = [], [], 0, None

    def wanted(self, only):
        return not only or isinstance(self, Ours) and self.name == "ours" or any(w in self.name for w in only.split(","))

    def end(self):
        pass

    def entry(self, ours):
        entry = {"name": self.name, "what": self.what, "device": self.device}
        if self.skipped:
            return entry | {"skipped": self.skipped}
        entry |= {"steps": self.steps, "ms": self.times, "median": statistics.median(self.times)}
        entry |= {"ratio": entry["median"] / statistics.median(ours.times), "losses": self.losses}
        if self is not ours:
            # A loss near zero is compared absolutely.
            pairs = zip(self.losses, ours.losses, strict=True)
            difference = max(abs(a - b) / max(abs(b), 1e-2) if math.isfinite(a) else math.inf for a, b in pairs)
            entry |= {"difference": difference, "agrees": difference <= self.tolerance}
        return entry


class Ours(Program):
    """This project: every round is a run of its own, whose first epoch warms up and whose second is timed."""

    def __init__(self, name, network, words):
        super().__init__(name)
        self.network, self.words, self.steps = network, words, network.options.steps
        self.tolerance = network.options.tolerance

    def prepare(self):
        network = self.network
        words = ["--dropout", 0] if network.dropout else []
        words += ["--max-steps", network.options.checked, "--log-every", 1, "--init", network.weights, *self.words]
        run = network.train(self.name.replace(", ", "-"), *words)
        lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        self.losses = [line["loss"] for line in lines if line["kind"] == "step"]
        summary = json.loads((run / "summary.json").read_text())
        self.what = f"Selvedge {summary['versions']['selvedge']}, wgpu {summary['versions']['wgpu']}"
        self.what += ", recorded plan" if self.name == "ours" else ", through the tape"
        self.device = summary["adapter"]["name"]
        self.round()

    def round(self):
        network = self.network
        images = self.steps * network.batch
        words = ["--set", f"data.training_images={images}", "--epochs", 2, "--init", network.weights, *self.words]
        run = network.train(self.name.replace(", ", "-"), *words)
        lines = [json.loads(line) for line in (run / "timings.jsonl").read_text().splitlines()]
        steps = lines[-1]["steps"] - lines[-2]["steps"]
        shutil.rmtree(run)
        return 1000 * lines[-1]["seconds"] / steps


class Peer(Program):
    """Another framework: one process that warms up and then trains a round for every line it reads."""

    def __init__(self, name, options, command, missing):
        super().__init__(name)
        self.options, self.command, self.missing, self.child = options, command, missing, None
        # TF32 keeps ten bits of a factor.
        self.tolerance = max(options.tolerance, 3e-2) if name.endswith("tf32") else options.tolerance

    def prepare(self):
        if self.missing:
            raise Skip(f"not installed; {self.missing}")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.errors = tempfile.TemporaryFile("w+")
        self.child = start(self.options, self.command, stderr=self.errors, **pipes)
        self.answers = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()
        answer = self.answer(1800)
        self.what, self.device, self.losses = answer["what"], answer["device"], answer["losses"]

    def listen(self):
        for line in self.child.stdout:
            if line.startswith("{"):
                self.answers.put(json.loads(line))
        self.answers.put(None)

    def answer(self, patience):
        try:
            answer = self.answers.get(timeout=patience)
        except queue.Empty:
            self.end()
            raise Skip(f"no answer within {patience} s") from None
        if answer is None:
            code = self.child.wait()
            self.errors.seek(0)
            lines = self.errors.read().strip().splitlines()
            raise Skip(f"it ended with exit code {code}: {lines[-1][:300] if lines else 'without a word'}")
        return answer

    def round(self):
        try:
            self.child.stdin.write("round\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.answer(600)
        self.steps = answer["steps"]
        return 1000 * answer["seconds"] / self.steps

    def end(self):
        if self.child and self.child.poll() is None:
            self.child.stdin.close()
            try:
                self.child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.child.kill()


def shown(path):
    """As a reader of the repository knows it."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name


def cpu_name():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def page(result):
    adapter = result["adapter"]
    lines = [
        f"# Training steps beside other frameworks: {adapter['name']}",
        "",
        f"Written by `benches/peers/run.py`. Ours on {adapter['name']} ({adapter['backend']}, {adapter['driver']}); "
        f"{result['threads']} threads of {result['cpu']} for everybody. Wall clock, median of {result['rounds']} rounds "
        f"taken in turn, each of {result['steps']} steps unless the table says otherwise, after a warm-up. Ratios are "
        "to ours: below 1 is faster than ours. Images, order, initial weights and optimiser are the same; the losses "
        f"compared are those of the first {result['checked']} steps, without dropout.",
    ]
    for network in result["networks"]:
        lines += ["", f"## {network['recipe']}: batch {network['batch']}, {network['optimizer']}", ""]
        lines.append("| program | device | ms per step | least to most | ratio | last loss compared | largest difference |")
        lines.append("|---|---|--:|--:|--:|--:|--:|")
        notes = []
        for entry in network["programs"]:
            if "skipped" in entry:
                notes.append(f"- {entry['name']} is not in the table: {entry['skipped']}")
                continue
            few = f" ({entry['steps']} steps)" if entry["steps"] != result["steps"] else ""
            differs = f"{entry['difference']:.1e}{'' if entry['agrees'] else ' **too much**'}" if "agrees" in entry else ""
            cells = [entry["what"], entry["device"], f"{entry['median']:.2f}{few}"]
            cells += [f"{min(entry['ms']):.2f} to {max(entry['ms']):.2f}", f"{entry['ratio']:.2f}"]
            cells += [f"{entry['losses'][-1]:.5f}", differs]
            lines.append("| " + " | ".join(cells) + " |")
        lines += [""] * bool(notes) + notes
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
