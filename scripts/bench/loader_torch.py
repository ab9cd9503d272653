"""The peer of native/bench/train/loader.cpp: a PyTorch DataLoader over the same images, transforms as torchvision's where that is
installed, else the same operations written with torch (torchvision's own implementation, function by function).

    python loader_torch.py <cifar|imagenet> <worker processes> <folder>
"run N" on stdin: N batches -> {"seconds": [...]}
"""
import json
import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

kind, workers, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
stored, seen, batch, pad = (32, 32, 128, 4) if kind == "cifar" else (256, 224, 64, 0)
images = np.memmap(folder + "/images.u8", dtype=np.uint8, mode="r").reshape(-1, stored, stored, 3)
mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

try:
    from torchvision.transforms import v2

    crop = v2.RandomCrop(seen, padding=pad) if kind == "cifar" else v2.RandomResizedCrop(seen, antialias=False)
    transform = v2.Compose([crop, v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])
    library = "torchvision"
except ImportError:
    m, s = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
    library = "torch"

    def area():
        for _ in range(10):
            target = stored * stored * torch.empty(1).uniform_(0.08, 1.0).item()
            ratio = math.exp(torch.empty(1).uniform_(math.log(3 / 4), math.log(4 / 3)).item())
            w, h = int(round(math.sqrt(target * ratio))), int(round(math.sqrt(target / ratio)))
            if 0 < w <= stored and 0 < h <= stored:
                return torch.randint(0, stored - h + 1, (1,)).item(), torch.randint(0, stored - w + 1, (1,)).item(), h, w
        return 0, 0, stored, stored

    def transform(x):
        if kind == "cifar":
            x = F.pad(x, [pad] * 4)
            i, j = torch.randint(0, 2 * pad + 1, (2,)).tolist()
            x = x[:, i : i + seen, j : j + seen]
        else:
            i, j, h, w = area()
            x = F.interpolate(x[None, :, i : i + h, j : j + w], size=[seen, seen], mode="bilinear", align_corners=False)[0]
        if torch.rand(1) < 0.5:
            x = x.flip(-1)
        return (x.float() / 255 - m) / s


class Images(torch.utils.data.Dataset):
    def __len__(self):
        return len(images)

    def __getitem__(self, i):
        return transform(torch.from_numpy(images[i].copy()).permute(2, 0, 1)), int(i) % 10


torch.set_num_threads(1)
loader = torch.utils.data.DataLoader(Images(), batch_size=batch, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0, prefetch_factor=4 if workers else None)


def batches():
    while True:
        yield from loader


source = batches()
for _ in range(8):
    next(source)
print(json.dumps({"ready": True, "torch": torch.__version__, "library": library}), flush=True)
for line in sys.stdin:
    _, n = line.split()
    seconds = []
    for _ in range(int(n)):
        start = time.perf_counter()
        next(source)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds}), flush=True)
