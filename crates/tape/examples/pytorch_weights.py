"""Writes pytorch_weights.safetensors: python pytorch_weights.py (needs torch, safetensors, numpy)."""

import torch
from safetensors.torch import save_file
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 5, 3, padding=1)
        self.fc1 = nn.Linear(5 * 4 * 3, 7)

    def forward(self, x):
        hidden = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        return self.fc1(hidden.flatten(1))


torch.manual_seed(1)
network = Network()
x = torch.randn(3, 2, 8, 6)
with torch.no_grad():
    logits = network(x)
save_file({**network.state_dict(), "x": x, "logits": logits}, "pytorch_weights.safetensors")
