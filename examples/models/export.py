"""Exports the model of torchscript.yaml: any torch.nn.Module whose forward takes the pipeline's dense features [rows, 3]
and categorical features [rows, 3] and returns logits [rows, 1].

    python3 examples/models/export.py        writes examples/models/gated.pt
"""
from pathlib import Path

import torch
from torch import Tensor, nn

BUCKETS = [512, 512, 24]


class Gated(nn.Module):
    """Embeddings and dense features through a gated linear unit."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(n, 16) for n in BUCKETS])
        self.gate = nn.Linear(3 + 16 * len(BUCKETS), 128)
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(64, 1)

    def forward(self, dense: Tensor, categorical: Tensor) -> Tensor:
        parts = [dense]
        for i, table in enumerate(self.tables):
            parts.append(table(categorical[:, i]))
        x = torch.cat(parts, 1)
        return self.out(self.drop(nn.functional.glu(self.gate(x))))


torch.manual_seed(0)
torch.jit.script(Gated()).save(str(Path(__file__).with_name("gated.pt")))
