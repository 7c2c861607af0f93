"""Trains a job in JAX: `jax_peer.py JOB`. Run by run.py. One jitted function is one step."""

import functools
import math
import sys

import jax
import jax.numpy as jnp
from jax import lax
from job import Job, named, pair, serve


def forward(job, dropout, weights, x, key):
    """Logits, and the running statistics after this batch."""
    statistics = {}
    for index, (name, layer) in enumerate(named(job.layers)):
        kind = layer["kind"]
        w, b = weights.get(f"{name}.weight"), weights.get(f"{name}.bias")
        if kind == "conv":
            pad = [(size, size) for size in pair(layer.get("pad", 0))]
            stride, dilation = pair(layer.get("stride", 1)), pair(layer.get("dilation", 1))
            x = lax.conv_general_dilated(
                x, w, stride, pad, rhs_dilation=dilation, dimension_numbers=("NCHW", "OIHW", "NCHW")
            )
            x = x + b[:, None, None]
        elif kind == "batch_norm":
            axes = (0, 2, 3) if x.ndim == 4 else (0,)
            wide = (slice(None), None, None) if x.ndim == 4 else slice(None)
            mean, var, count = x.mean(axes), x.var(axes), x.size // x.shape[1]
            momentum = layer["momentum"]
            for what, new in (("running_mean", mean), ("running_var", var * count / (count - 1))):
                old = weights[f"{name}.{what}"]
                statistics[f"{name}.{what}"] = lax.stop_gradient((1 - momentum) * old + momentum * new)
            factor = w * lax.rsqrt(var + layer["eps"])
            x = (x - mean[wide]) * factor[wide] + b[wide]
        elif kind == "relu":
            x = jax.nn.relu(x)
        elif kind in ("max_pool", "avg_pool"):
            window = (1, 1, *pair(layer["kernel"]))
            strides = (1, 1, *pair(layer.get("stride", layer["kernel"])))
            pad = ((0, 0), (0, 0), *((size, size) for size in pair(layer.get("pad", 0))))
            if kind == "max_pool":
                x = lax.reduce_window(x, -jnp.inf, lax.max, window, strides, pad)
            else:
                x = lax.reduce_window(x, 0.0, lax.add, window, strides, pad) / math.prod(window)
        elif kind == "flatten":
            x = x.reshape(x.shape[0], -1)
        elif kind == "dense":
            x = x @ w.T + b
        elif kind == "fourier_features":
            x = math.sqrt(2 / layer["out"]) * jnp.cos(x @ w.T + b)
        elif kind == "dropout":
            if dropout and layer["rate"] > 0:
                kept = jax.random.bernoulli(jax.random.fold_in(key, index), 1 - layer["rate"], x.shape)
                x = jnp.where(kept, x / (1 - layer["rate"]), 0)
        else:
            sys.exit(f"layer of unknown kind {kind}")
    return x, statistics


def loss_of(config, logits, labels):
    if config["kind"] == "hinge":
        own = jnp.take_along_axis(logits, labels[:, None], 1)
        violations = jnp.maximum(0, 1 - own + logits) * (jnp.arange(logits.shape[1]) != labels[:, None])
        return violations.mean()
    smoothing = config.get("label_smoothing", 0.0)
    log = jax.nn.log_softmax(logits)
    target = jax.nn.one_hot(labels, logits.shape[1]) * (1 - smoothing) + smoothing / logits.shape[1]
    return -(log * target).sum(1).mean()


def update(config, step, p, g, state):
    """A parameter after step number `step`, and its state, as PyTorch's optimisers have it."""
    kind, lr, decay = config["kind"], config["lr"], config["weight_decay"]
    if kind == "adamw":
        p = p * (1 - lr * decay)
    else:
        g = g + decay * p
    if kind in ("adam", "adamw"):
        beta1, beta2 = config["beta1"], config["beta2"]
        m, v = state
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        root = jnp.sqrt(v) / jnp.sqrt(1 - beta2**step) + config["eps"]
        return p - lr / (1 - beta1**step) * m / root, (m, v)
    if kind == "rmsprop":
        m, v = state
        v = config["alpha"] * v + (1 - config["alpha"]) * g * g
        m = config["momentum"] * m + g / (jnp.sqrt(v) + config["eps"])
        return p - lr * m, (m, v)
    m, v = state
    m = config["momentum"] * m + g
    return p - lr * (g + config["momentum"] * m if config["nesterov"] else m), (m, v)


class Training:
    """A network in training."""

    def __init__(self, job, dropout):
        self.job, self.at = job, 0
        self.images = jnp.asarray(job.pixels), jnp.asarray(job.labels), jnp.arange(len(job.pixels))
        frozen = ("running_mean", "running_var")
        trained = {
            key: jnp.asarray(value)
            for key, value in job.weights.items()
            if not key.endswith(frozen) and not key.startswith("rff")
        }
        rest = {key: jnp.asarray(value) for key, value in job.weights.items() if key not in trained}
        zeros = {key: (jnp.zeros_like(value), jnp.zeros_like(value)) for key, value in trained.items()}
        self.state = trained, rest, zeros, jnp.zeros((), jnp.int32)
        self.step = jax.jit(functools.partial(one_step, job, dropout), donate_argnums=0)

    def run(self, steps, each=None):
        """So many steps, to the end. The loss of the last; of every one goes to `each`."""
        for _ in range(steps):
            self.state, loss = self.step(self.state, self.images, self.at)
            self.at = (self.at + self.job.batch) % len(self.images[1])
            if each is not None:
                each.append(float(loss))
        jax.block_until_ready(self.state)
        return float(loss)


def one_step(job, dropout, state, images, at):
    trained, rest, moments, step = state
    pixels, labels, order = images
    chosen = lax.dynamic_slice_in_dim(order, at, job.batch)
    x = pixels[chosen].astype(jnp.float32) * job.scale + job.offset
    key = jax.random.fold_in(jax.random.key(0), step)

    def loss(trained):
        logits, statistics = forward(job, dropout, {**rest, **trained}, x, key)
        return loss_of(job.loss, logits, labels[chosen]), statistics

    (value, statistics), gradients = jax.value_and_grad(loss, has_aux=True)(trained)
    step = step + 1
    after, state = {}, {}
    for name, parameter in trained.items():
        number = step.astype(jnp.float32)
        after[name], state[name] = update(job.optimizer, number, parameter, gradients[name], moments[name])
    return (after, {**rest, **statistics}, state, step), value


def main():
    job = Job(sys.argv[1])
    jax.config.update("jax_platforms", job.device)
    # As everybody else here: products of f32 in f32.
    jax.config.update("jax_default_matmul_precision", "highest")
    device = jax.devices()[0].device_kind if job.device == "cuda" else f"CPU, {job.threads} threads"
    training = Training(job, dropout=True)

    def check():
        losses = []
        Training(job, dropout=False).run(job.checked, losses)
        return losses

    serve(job, f"JAX {jax.__version__}, jit", device, check, training.run)


if __name__ == "__main__":
    main()
