"""The peer of native/bench/train/resnet.cpp: the same ResNet-18 in plain PyTorch, from the weights and batches that the other
wrote. Same protocol: one command a line, one line of JSON back. "run N": N steps. "deal K": the initial weights again, and the
samples dealt to the batches anew by seed K.

    python3 resnet_torch.py <folder> <fp32|bf16> <threads> <eager|channels-last|compile>
"""
import json
import sys
import time
import warnings

import torch
import torch.nn.functional as F
from torch import nn

ROWS, SIDE, CLASSES, BATCHES = 128, 32, 10, 8


class Block(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or inputs != width:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        inputs = 64
        for i in range(4):
            width = 64 << i
            setattr(self, f"layer{i + 1}", nn.Sequential(Block(inputs, width, 1 if i == 0 else 2), Block(width, width, 1)))
            inputs = width
        self.fc = nn.Linear(512, CLASSES)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def load(model, path):
    state = [t for t in model.state_dict().values() if t.is_floating_point()]
    data = torch.from_file(path, size=sum(t.numel() for t in state), dtype=torch.float32)
    at = 0
    for t in state:
        t.copy_(data[at : at + t.numel()].view_as(t))
        at += t.numel()


def batches(path, memory_format):
    pixels = ROWS * SIDE * SIDE * 3
    data = torch.from_file(path, size=BATCHES * (pixels + ROWS), dtype=torch.float32).view(BATCHES, pixels + ROWS)
    return [(row[:pixels].view(ROWS, SIDE, SIDE, 3).permute(0, 3, 1, 2).contiguous(memory_format=memory_format), row[pixels:].long()) for row in data]


def dealt(data, seed):
    order = torch.randperm(BATCHES * ROWS, generator=torch.Generator().manual_seed(seed))
    images, labels = (torch.cat(parts) for parts in zip(*data))
    return [(images[rows], labels[rows]) for rows in order.split(ROWS)]


def main():
    folder, precision, threads, mode = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    memory_format = torch.channels_last if mode == "channels-last" else torch.contiguous_format
    model = ResNet18()
    load(model, f"{folder}/weights.bin")
    model = model.to(memory_format=memory_format).train()
    data = batches(f"{folder}/batches.bin", memory_format)
    sgd = lambda: torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    optimizer = sgd()
    forward = torch.compile(model) if mode == "compile" else model
    print(json.dumps({"ready": True, "torch": torch.__version__}), flush=True)
    step = 0
    for line in sys.stdin:
        command, n = line.split()
        if command == "deal":
            load(model, f"{folder}/weights.bin")
            optimizer, step = sgd(), 0
            data = dealt(batches(f"{folder}/batches.bin", memory_format), int(n))
            print("{}", flush=True)
            continue
        seconds, losses = [], []
        for _ in range(int(n)):
            images, labels = data[step % BATCHES]
            step += 1
            start = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                logits = forward(images)
            loss = F.cross_entropy(logits.float(), labels)
            loss.backward()
            optimizer.step()
            seconds.append(time.perf_counter() - start)
            losses.append(loss.item())
        print(json.dumps({"seconds": seconds, "losses": losses}), flush=True)


main()
