"""PyTorch beside native/bench/gpu: the same work in its own words, on the same GPU. Same protocol: "run N" -> one line of JSON.

    gpu_torch.py limits
    gpu_torch.py dlrm <fp32|bf16|fp16> <batch> <rows per table> <folder> [bags|fbgemm]
    gpu_torch.py image <fp32|bf16|fp16> <depth> <batch> <side>
    gpu_torch.py text <fp32|bf16|fp16> <batch> <length>
    gpu_torch.py export <folder>          # writes mlp.pt and conv.pt, TorchScript models for gpu_bench script
"""
import json
import os
import sys
import time
import warnings

import torch
from torch import nn

DENSE, TABLES, WIDTH, HELD = 13, 26, 128, 8
BOTTOM, TOP = [512, 256, 128], [1024, 1024, 512, 256, 1]
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def say(value):
    print(json.dumps(value), flush=True)


def serve(step, hello):
    """Answers "run N" with the seconds of one of N steps and their losses."""
    say({"ready": True, "torch": torch.__version__, **hello})
    for line in sys.stdin:
        n = int(line.split()[1])
        torch.cuda.synchronize()
        start = time.perf_counter()
        losses = [step() for _ in range(n)]
        torch.cuda.synchronize()
        seconds = (time.perf_counter() - start) / n
        say({"seconds": seconds, "losses": [float(loss) for loss in losses]})


def limits():
    """Bandwidth of a copy on the device, bytes read and written, and the rate of large matrix products."""
    say({"ready": True})
    sys.stdin.readline()

    def best(work, rounds=20):
        times = []
        for _ in range(rounds):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) / 1e3)
        return min(times)

    a, b = (torch.empty(2**28, device="cuda") for _ in range(2))
    copied = 2 * a.numel() * 4 / best(lambda: b.copy_(a))
    rates = {}
    for name, kind in TYPES.items():
        x, y = (torch.randn(8192, 8192, device="cuda", dtype=kind) for _ in range(2))
        rates[name] = 2 * 8192**3 / best(lambda x=x, y=y: x @ y)
    say({"bytesPerSecond": copied, "flopsPerSecond": rates})


def mlp(sizes, relu_last):
    layers = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        layers.append(nn.Linear(a, b))
        if relu_last or i + 2 < len(sizes):
            layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Dlrm(nn.Module):
    """Tables as bags with sparse gradients, or as FBGEMM's table-batched embeddings, which update themselves."""

    def __init__(self, rows, tables, batch):
        super().__init__()
        self.bottom = mlp([DENSE, *BOTTOM], True)
        self.top = mlp([WIDTH + (TABLES + 1) * TABLES // 2, *TOP], False)
        self.fused = tables == "fbgemm"
        if self.fused:
            from fbgemm_gpu.split_embedding_configs import EmbOptimType
            from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
            from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen

            specs = [(rows, WIDTH, EmbeddingLocation.DEVICE, ComputeDevice.CUDA)] * TABLES
            self.embeddings = SplitTableBatchedEmbeddingBagsCodegen(specs, optimizer=EmbOptimType.EXACT_SGD, learning_rate=0.1)
        else:
            self.embeddings = nn.ModuleList(nn.EmbeddingBag(rows, WIDTH, mode="sum", sparse=True) for _ in range(TABLES))
        n = TABLES * batch if self.fused else batch
        self.register_buffer("offsets", torch.arange(n + 1 if self.fused else n), persistent=False)
        i, j = torch.tril_indices(TABLES + 1, TABLES + 1, -1)
        self.register_buffer("pairs", i * (TABLES + 1) + j, persistent=False)

    def forward(self, dense, categorical):
        d = self.bottom(dense)
        if self.fused:
            e = self.embeddings(categorical.flatten(), self.offsets)
        else:
            e = torch.cat([bag(c, self.offsets) for bag, c in zip(self.embeddings, categorical)], 1)
        x = torch.cat([d, e.to(d.dtype)], 1).unflatten(1, (TABLES + 1, WIDTH))
        z = torch.bmm(x, x.transpose(1, 2)).flatten(1).index_select(1, self.pairs)
        return self.top(torch.cat([d, z.to(d.dtype)], 1)).squeeze(1)


def load(model, path):
    data = torch.from_file(path, size=os.path.getsize(path) // 4, dtype=torch.float32)
    at = 0
    with torch.no_grad():
        for part in (model.bottom, model.top, model.embeddings):
            for p in part.parameters():
                p.copy_(data[at : at + p.numel()].view_as(p))
                at += p.numel()


def batches(path, batch, rows):
    if not os.path.exists(path):
        return [(torch.randn(batch, DENSE), torch.randint(rows, (TABLES, batch)), torch.randint(2, (batch,)).float()) for _ in range(HELD)]
    words = batch * (DENSE + TABLES + 1)
    floats = torch.from_file(path, size=HELD * words, dtype=torch.float32).view(HELD, words)
    ints = torch.from_file(path, size=HELD * words, dtype=torch.int32).view(HELD, words)
    middle, end = batch * DENSE, batch * (DENSE + TABLES)
    return [(f[:middle].view(batch, DENSE).clone(), i[middle:end].view(TABLES, batch).long(), f[end:].clone()) for f, i in zip(floats, ints)]


def dlrm(precision, batch, rows, folder, tables="bags"):
    batch, rows = int(batch), int(rows)
    try:
        model = Dlrm(rows, tables, batch).cuda()
    except ImportError as error:
        return say({"ready": True, "missing": str(error)})
    if os.path.exists(f"{folder}/weights.bin"):
        load(model, f"{folder}/weights.bin")
    data = [tuple(t.pin_memory() for t in held) for held in batches(f"{folder}/batches.bin", batch, rows)]
    parameters = [p for name, p in model.named_parameters() if not (model.fused and name.startswith("embeddings"))]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    criterion = nn.BCEWithLogitsLoss()
    at = 0

    def step():
        nonlocal at
        dense, categorical, labels = (t.cuda(non_blocking=True) for t in data[at % HELD])
        at += 1
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", TYPES[precision], enabled=precision != "fp32"):
            logits = model(dense, categorical)
        loss = criterion(logits.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    serve(step, {})


def image(precision, depth, batch, side):
    """A ResNet in eager PyTorch, channels last, its whole step captured as a CUDA graph."""
    import torchvision

    batch, side = int(batch), int(side)
    torch.backends.cudnn.benchmark = True
    model = getattr(torchvision.models, f"resnet{depth}")().cuda().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    criterion = nn.CrossEntropyLoss()
    pictures = torch.randn(batch, 3, side, side).to(memory_format=torch.channels_last).pin_memory()
    labels = torch.randint(1000, (batch,), device="cuda")
    static = pictures.cuda()

    def work():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", TYPES[precision], enabled=precision != "fp32", cache_enabled=False):
            loss = criterion(model(static), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    side_stream = torch.cuda.Stream()
    with torch.cuda.stream(side_stream):
        for _ in range(5):
            work()
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = work()

    def step():
        static.copy_(pictures, non_blocking=True)
        graph.replay()
        return loss.clone()

    serve(step, {"peer": "torchvision, autocast, channels last, fused SGD, CUDA graph"})


class Block(nn.Module):
    """A layer of DistilBERT."""

    def __init__(self, width=768, heads=12, hidden=3072, dropout=0.1):
        super().__init__()
        self.heads, self.p = heads, dropout
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))
        self.inner, self.outer, self.drop = nn.Linear(width, hidden), nn.Linear(hidden, width), nn.Dropout(dropout)

    def forward(self, x, mask):
        q, k, v = (layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        a = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=self.p if self.training else 0.0)
        x = self.norm1(x + self.drop(self.output(a.transpose(1, 2).flatten(2))))
        return self.norm2(x + self.drop(self.outer(nn.functional.gelu(self.inner(x)))))


class DistilBert(nn.Module):
    def __init__(self, vocabulary=30_522, positions=512, width=768, layers=6, classes=2):
        super().__init__()
        self.words, self.positions = nn.Embedding(vocabulary, width, padding_idx=0), nn.Embedding(positions, width)
        self.norm, self.drop = nn.LayerNorm(width, eps=1e-12), nn.Dropout(0.1)
        self.layers = nn.ModuleList(Block(width) for _ in range(layers))
        self.before, self.classifier = nn.Linear(width, width), nn.Linear(width, classes)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, 0, 0.02)

    def forward(self, ids):
        mask = (ids != 0)[:, None, None, :]
        x = self.drop(self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]]))
        for layer in self.layers:
            x = layer(x, mask)
        return self.classifier(self.drop(torch.relu(self.before(x[:, 0]))))


def text(precision, batch, length):
    """Fine-tuning of DistilBERT in eager PyTorch."""
    batch, length = int(batch), int(length)
    model = DistilBert().cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01, fused=True)
    criterion = nn.CrossEntropyLoss()
    used = torch.randint(length // 2, length + 1, (batch, 1))
    used[0] = length
    ids = torch.randint(1, 30_522, (batch, length)).masked_fill(torch.arange(length) >= used, 0).pin_memory()
    labels = torch.randint(2, (batch,)).pin_memory()

    def step():
        x, y = ids.cuda(non_blocking=True), labels.cuda(non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", TYPES[precision], enabled=precision != "fp32"):
            logits = model(x)
        loss = criterion(logits.float(), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    serve(step, {"peer": "eager, autocast, scaled_dot_product_attention, fused AdamW"})


def export(folder):
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    torch.jit.script(nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.LayerNorm(128), nn.Linear(128, 10))).save(f"{folder}/mlp.pt")
    torch.jit.script(conv).save(f"{folder}/conv.pt")


warnings.simplefilter("ignore")
{"limits": limits, "dlrm": dlrm, "image": image, "text": text, "export": export}[sys.argv[1]](*sys.argv[2:])
