#!/usr/bin/env python3
"""Score-CAM and Ablation-CAM of one picture, ResNet-50, 224 px, layer4: ours and pytorch-grad-cam's in turn.

    python3 bench/compare_explainers.py [--repetitions 3] [--only score-cam,ablation-cam] [--threads 2]

Both begin with the picture and end with its map; pytorch-grad-cam has its default batches. A turn of Score-CAM takes
minutes. Needs grad-cam and torchvision in the interpreter that runs it, and a release build.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

import torch
import torchvision
from pytorch_grad_cam import AblationCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

SIZE = 224
PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "build/bench/bench_explainers"
THEIRS = {"score-cam": ScoreCAM, "ablation-cam": AblationCAM}


def theirs(name):
    torch.manual_seed(0)
    model = torchvision.models.resnet50(weights=None).eval()
    picture = torch.rand(1, 3, SIZE, SIZE) * 4 - 2
    explain = THEIRS[name](model=model, target_layers=[model.layer4])
    begin = time.perf_counter()
    explain(input_tensor=picture, targets=[ClassifierOutputTarget(0)])
    return time.perf_counter() - begin


def ours(name, threads):
    """Seconds by precision; what this processor has not is not there."""
    command = [PROGRAM, f"--benchmark_filter=^{name}/", "--benchmark_format=json"]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    rows = json.loads(output)["benchmarks"]
    return {row["name"].split("/")[2]: row["real_time"] / 1e3 for row in rows if not row.get("error_occurred")}


def spread(values):
    return f"{statistics.median(values):.4g} ({min(values):.4g} - {max(values):.4g})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", default=",".join(THEIRS))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| | boxcam, s | pytorch-grad-cam, s | times as fast |\n| --- | --- | --- | --- |")
    for name in options.only.split(","):
        turns = [(ours(name, options.threads), theirs(name)) for _ in range(options.repetitions)]
        for precision in turns[0][0]:
            print(f"| {name}, {precision} | {spread([mine[precision] for mine, _ in turns])} | "
                  f"{spread([other for _, other in turns])} | "
                  f"{spread([other / mine[precision] for mine, other in turns])} |")
