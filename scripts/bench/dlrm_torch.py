"""The peer of native/bench/train/dlrm.cpp: the same DLRM in plain PyTorch (nn.EmbeddingBag(sparse=True), nn.Linear,
torch.optim.SGD), eager or with its forward and backward pass compiled, from the weights and batches that the other wrote.
Same protocol: one command a line, one line of JSON back. "run N": N steps. "deal K": the initial weights again, and the samples dealt
to the batches anew by seed K.

    python3 dlrm_torch.py <folder> <fp32|bf16> <threads> <small|embedding> <rows per table> <eager|compile>
"""
import json
import sys
import time
import warnings

import torch
from torch import nn

BATCH, DENSE, TABLES, BATCHES = 2048, 13, 26, 100
SHAPES = {"small": (128, [512, 256, 128], [1024, 1024, 512, 256, 1]), "embedding": (16, [64, 16], [64, 1])}


def mlp(sizes, relu_last):
    layers = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        layers.append(nn.Linear(a, b))
        if relu_last or i + 2 < len(sizes):
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class Dlrm(nn.Module):
    def __init__(self, width, bottom, top, rows):
        super().__init__()
        self.bottom = mlp([DENSE, *bottom], True)
        self.top = mlp([width + (TABLES + 1) * TABLES // 2, *top], False)
        self.embeddings = nn.ModuleList(
            nn.EmbeddingBag(rows, width, mode="sum", sparse=True, _weight=torch.empty(rows, width)) for _ in range(TABLES)
        )
        self.register_buffer("offsets", torch.arange(BATCH), persistent=False)
        self.i, self.j = torch.tril_indices(TABLES + 1, TABLES + 1, -1)

    def forward(self, dense, categorical):
        d = self.bottom(dense)
        x = torch.cat([d] + [e(c, self.offsets) for e, c in zip(self.embeddings, categorical)], 1).unflatten(1, (TABLES + 1, -1))
        z = torch.bmm(x, x.transpose(1, 2))[:, self.i, self.j]
        return self.top(torch.cat([d.to(z.dtype), z], 1)).squeeze(1)


def load(model, path):
    parameters = [p for part in (model.bottom, model.top, model.embeddings) for p in part.parameters()]
    total = sum(p.numel() for p in parameters)
    data = torch.from_file(path, size=total, dtype=torch.float32)
    at = 0
    with torch.no_grad():
        for p in parameters:
            p.copy_(data[at : at + p.numel()].view_as(p))
            at += p.numel()


def batches(path):
    words = BATCH * (DENSE + TABLES + 1)
    floats = torch.from_file(path, size=BATCHES * words, dtype=torch.float32)
    ints = torch.from_file(path, size=BATCHES * words, dtype=torch.int32)
    result = []
    for b in range(BATCHES):
        at = b * words
        middle, end = at + BATCH * DENSE, at + BATCH * (DENSE + TABLES)
        categorical = ints[middle:end].view(TABLES, BATCH).long()
        result.append((floats[at:middle].view(BATCH, DENSE).clone(), categorical, floats[end : at + words].clone()))
    return result


def dealt(data, seed):
    order = torch.randperm(BATCHES * BATCH, generator=torch.Generator().manual_seed(seed))
    dense, categorical, labels = (torch.cat(parts, -1 if parts[0].dim() == 2 and len(parts[0]) == TABLES else 0) for parts in zip(*data))
    return [(dense[rows], categorical[:, rows], labels[rows]) for rows in order.split(BATCH)]


def main():
    folder, precision, threads, shape, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    model = Dlrm(*SHAPES[shape], rows)
    load(model, f"{folder}/weights.bin")
    data = batches(f"{folder}/batches.bin")
    run = torch.compile(model) if sys.argv[6] == "compile" else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.BCEWithLogitsLoss()
    print(json.dumps({"ready": True, "torch": torch.__version__}), flush=True)
    step = 0
    for line in sys.stdin:
        command, n = line.split()
        if command == "deal":
            load(model, f"{folder}/weights.bin")
            data, step = dealt(batches(f"{folder}/batches.bin"), int(n)), 0
            print("{}", flush=True)
            continue
        seconds, losses = [], []
        for _ in range(int(n)):
            dense, categorical, labels = data[step % BATCHES]
            step += 1
            start = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                logits = run(dense, categorical)
            loss = criterion(logits.float(), labels)
            loss.backward()
            optimizer.step()
            seconds.append(time.perf_counter() - start)
            losses.append(loss.item())
        print(json.dumps({"seconds": seconds, "losses": losses}), flush=True)


main()
