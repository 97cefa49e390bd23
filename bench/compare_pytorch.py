#!/usr/bin/env python3
"""A ResNet-50 training step in boxcam and in PyTorch eager (channels_last), in turn, on the same machine.

    python3 bench/compare_pytorch.py [--repetitions 5] [--threads 2]

One step: forward, cross-entropy, gradients, SGD with momentum; train mode, f32, batch 16, 224 px, 4 classes. Each turn
is a process of its own: one step to warm up, then the mean of three. The turns alternate, so that whatever else the
machine does hits both; the table shows medians. Memory is the largest resident size of the process, libraries included.
Needs torch and torchvision (Debian: python3-torchvision) in the interpreter that runs it, and a release build.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

BATCH, SIZE, CLASSES, STEPS = 16, 224, 4, 3
BENCH = pathlib.Path(__file__).resolve().parent.parent / "build/bench/bench_resnet"


def pytorch_turn(threads):
    """Prints the mean seconds of a step; runs in a child process."""
    import torch
    import torchvision

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = torchvision.models.resnet50(num_classes=CLASSES).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(BATCH, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % CLASSES

    def step():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    step()
    begin = time.perf_counter()
    for _ in range(STEPS):
        step()
    print(json.dumps({"seconds": (time.perf_counter() - begin) / STEPS, "version": torch.__version__}))


def run(command, threads):
    """Standard output and the largest resident size, in bytes, of a process."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    output, errors = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{errors}")
    return output, usage.ru_maxrss * 1024


def boxcam(bench, threads):
    output, memory = run([bench, "--benchmark_filter=^train_step/resnet50/", "--benchmark_format=json"], threads)
    report = json.loads(output)
    (result,) = report["benchmarks"]
    assert result["iterations"] == STEPS and result["time_unit"] == "ms", result
    return result["real_time"] / 1e3, memory, f"oneDNN {report['context']['oneDNN']}"


def pytorch(threads):
    output, memory = run([sys.executable, __file__, "--pytorch-turn", "--threads", str(threads)], threads)
    result = json.loads(output)
    return result["seconds"], memory, f"PyTorch {result['version']}"


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--bench", type=pathlib.Path, default=BENCH, help="the program bench_resnet (default: build/bench)")
    parser.add_argument("--pytorch-turn", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pytorch_turn:
        return pytorch_turn(options.threads)
    if not options.bench.exists():
        sys.exit(f"{options.bench} does not exist; build it first (scripts/test, or cmake --build build)")

    turns = {"boxcam": [], "PyTorch eager, channels_last": []}
    for repetition in range(options.repetitions):
        for name, take in zip(turns, (lambda: boxcam(options.bench, options.threads), lambda: pytorch(options.threads))):
            turns[name].append(take())
            print(f"{repetition + 1}/{options.repetitions} {name}: {turns[name][-1][0]:.2f} s", file=sys.stderr)

    seconds = {name: statistics.median(t[0] for t in taken) for name, taken in turns.items()}
    memory = {name: statistics.median(t[1] for t in taken) for name, taken in turns.items()}
    ours, theirs = turns
    ratios = [a[0] / b[0] for a, b in zip(turns[ours], turns[theirs])]
    print(f"ResNet-50, cross-entropy step, batch {BATCH}, {SIZE} px, f32, {options.threads} threads, {processor()}; "
          f"{turns[ours][0][2]}, {turns[theirs][0][2]}; medians of {options.repetitions} turns each\n")
    print("| | seconds per step (fastest - slowest) | images/s | peak resident memory |")
    print("| --- | --- | --- | --- |")
    for name, taken in turns.items():
        fastest, slowest = min(t[0] for t in taken), max(t[0] for t in taken)
        print(f"| {name} | {seconds[name]:.2f} ({fastest:.2f} - {slowest:.2f}) | {BATCH / seconds[name]:.1f} "
              f"| {memory[name] / 1e9:.2f} GB |")
    print(f"| ratio | {statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f}) "
          f"| {seconds[theirs] / seconds[ours]:.2f} | {memory[ours] / memory[theirs]:.2f} |")


if __name__ == "__main__":
    main()
