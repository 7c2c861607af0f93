"""Trains a job in PyTorch: `torch_peer.py JOB eager|compiled|tf32`. Run by run.py."""

import sys

import torch
from job import Job, serve
from torch.nn import functional
from torch_network import build


def criterion(loss):
    if loss["kind"] == "hinge":
        return functional.multi_margin_loss
    smoothing = loss.get("label_smoothing", 0.0)
    return lambda logits, labels: functional.cross_entropy(logits, labels, label_smoothing=smoothing)


def optimizer(config, parameters, compiled, graph):
    config = dict(config)
    kind = config.pop("kind")
    if "beta1" in config:
        config["betas"] = (config.pop("beta1"), config.pop("beta2"))
    if compiled and kind != "rmsprop":
        config["fused"] = True
    if graph and kind != "sgd":
        config["capturable"] = True
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}
    return make[kind](parameters, **config)


class Training:
    """A network in training. On CUDA a compiled step is one graph, from the gathered batch to the update."""

    def __init__(self, job, variant, dropout):
        self.job = job
        compiled, self.graph = variant != "eager", None
        on_cuda = job.device == "cuda"
        network = build(job.layers, job.weights, dropout).to(job.device).train()
        self.order = torch.arange(len(job.pixels), device=job.device)
        self.pixels = torch.from_numpy(job.pixels).to(job.device)
        self.labels = torch.from_numpy(job.labels).long().to(job.device)
        self.at = torch.arange(job.batch, device=job.device)
        loss_of = criterion(job.loss)

        def loss(pixels, labels):
            return loss_of(network(pixels.float() * job.scale + job.offset), labels)

        self.loss = torch.compile(loss) if compiled else loss
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = optimizer(job.optimizer, trained, compiled, compiled and on_cuda)
        if compiled and on_cuda:
            self.capture(network)

    def step(self):
        """One step on the next batch; its loss, which stays on the device."""
        chosen = self.order[self.at]
        loss = self.loss(self.pixels[chosen], self.labels[chosen])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.at += self.job.batch
        self.at %= len(self.order)
        return loss.detach()

    def capture(self, network):
        """Records a step as a graph; what the steps before it changed is put back."""
        tensors = [*network.parameters(), *network.buffers(), self.at]
        before = [tensor.detach().clone() for tensor in tensors]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self.step()
        with torch.no_grad():
            for tensor, value in zip(tensors, before):
                tensor.copy_(value)
            for state in self.optimizer.state.values():
                for value in state.values():
                    if torch.is_tensor(value):
                        value.zero_()
        self.graph, self.static_loss = graph, loss

    def run(self, steps, each=None):
        """So many steps, to the end. The loss of the last; of every one goes to `each`."""
        for _ in range(steps):
            if self.graph is None:
                loss = self.step()
            else:
                self.graph.replay()
                loss = self.static_loss
            if each is not None:
                each.append(loss.item())
        return loss.item()


def main():
    job, variant = Job(sys.argv[1]), sys.argv[2]
    torch.manual_seed(0)
    torch.set_num_threads(job.threads)
    if job.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no CUDA device here")
    # cuDNN's default would be TF32 in convolutions only.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = variant == "tf32"
    device = torch.cuda.get_device_name() if job.device == "cuda" else f"CPU, {job.threads} threads"
    training = Training(job, variant, dropout=True)

    def check():
        losses = []
        Training(job, variant, dropout=False).run(job.checked, losses)
        return losses

    serve(job, f"PyTorch {torch.__version__}, {variant}", device, check, training.run)


if __name__ == "__main__":
    main()
