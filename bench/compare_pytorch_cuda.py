#!/usr/bin/env python3
"""boxcam and PyTorch at the same work on the same GPU; prints one Markdown table.

    python3 bench/compare_pytorch_cuda.py [--bench build/bench/bench_cuda] [--results FILE] [--compiled] [--only REGEX]

ResNet-50 training steps (cross-entropy, SGD with momentum, channels_last) in f32, TF32 and bf16 (PyTorch: autocast),
batch 16, 64 and 256, 224 px, and Grad-CAM with the box penalty on [N, 7, 7, 2048], forward and backward. PyTorch eager,
and with --compiled also torch.compile: each figure the median of ten steps after three to warm up. Ours are
bench_cuda's.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

CLASSES, SIZE = 4, 224


def median_ms(torch, once):
    times = []
    for repetition in range(13):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        once()
        torch.cuda.synchronize()
        if repetition >= 3:
            times.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times)


def train_step(torch, batch, precision, compiled):
    import torchvision

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    model = torchvision.models.resnet50(num_classes=CLASSES).cuda().to(memory_format=torch.channels_last).train()
    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(batch, 3, SIZE, SIZE, device="cuda").to(memory_format=torch.channels_last)
    labels = (torch.arange(batch) % CLASSES).cuda()

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            loss = torch.nn.functional.cross_entropy(run(images), labels)
        loss.backward()
        optimizer.step()

    return median_ms(torch, step)


def cam_and_penalty(torch, batch, compiled):
    activations = torch.rand(batch, 2048, 7, 7, device="cuda").to(memory_format=torch.channels_last).requires_grad_()
    alpha = (torch.rand(batch, 2048, device="cuda") * 0.04 - 0.02).requires_grad_()
    mask = torch.zeros(batch, SIZE, SIZE, device="cuda")
    mask[:, SIZE // 4 : 3 * SIZE // 4, SIZE // 4 : 3 * SIZE // 4] = 1

    def scale(maps):
        low = maps.amin((1, 2), keepdim=True)
        return (maps - low) / (1e-7 + (maps - low).amax((1, 2), keepdim=True))

    def penalty(a, w):
        maps = torch.relu((a * w[:, :, None, None]).sum(1))
        wide = torch.nn.functional.interpolate(scale(maps)[:, None], (SIZE, SIZE), mode="bilinear")[:, 0]
        return (scale(wide) * (1 - mask)).mean()

    run = torch.compile(penalty) if compiled else penalty
    return median_ms(torch, lambda: torch.autograd.grad(run(activations, alpha), [activations, alpha]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=pathlib.Path, default=pathlib.Path("build/bench/bench_cuda"))
    parser.add_argument("--results", type=pathlib.Path, metavar="FILE",
                        help="take ours from here, bench_cuda's --benchmark_out, instead of running it")
    parser.add_argument("--compiled", action="store_true", help="torch.compile as well, which takes minutes")
    parser.add_argument("--only", default=r"^(train_step|cam_and_penalty)/", metavar="REGEX",
                        help="the benchmarks whose names it is found in (default: all that PyTorch has)")
    options = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    if options.results:
        results = options.results.read_text()
    else:
        results = subprocess.run([options.bench, "--benchmark_format=json", f"--benchmark_filter={options.only}"],
                                 check=True, capture_output=True, text=True).stdout
    ours = {}
    for row in json.loads(results)["benchmarks"]:
        if not re.search(options.only, row["name"]):
            continue
        if row.get("error_occurred"):
            sys.exit(f"{row['name']}: {row['error_message']}")
        ours[row["name"].removesuffix("/real_time")] = row["real_time"]

    ways = {"eager": False} | ({"compiled": True} if options.compiled else {})
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}, "
          f"cuDNN {torch.backends.cudnn.version()}\n")
    print(f"| | boxcam ms | {' | '.join(f'PyTorch {way} ms' for way in ways)} | fastest PyTorch / boxcam |")
    print("| --- | " + "---: | " * (len(ways) + 2))
    for name, time_of_ours in ours.items():
        kind, *rest = name.split("/")
        batch = int(rest[-1])
        theirs = []
        for compiled in ways.values():
            torch.compiler.reset()
            torch.cuda.empty_cache()
            theirs.append(train_step(torch, batch, rest[0], compiled) if kind == "train_step"
                          else cam_and_penalty(torch, batch, compiled))
        print(f"| {name} | {time_of_ours:.3g} | {' | '.join(f'{t:.3g}' for t in theirs)} | "
              f"{min(theirs) / time_of_ours:.2f} |", flush=True)


if __name__ == "__main__":
    main()
