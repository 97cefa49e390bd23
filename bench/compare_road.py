#!/usr/bin/env python3
"""ROAD's imputation of one picture of 224 px, eighteen removals, ours and pytorch-grad-cam's in turn.

    python3 bench/compare_road.py [--repetitions 3]

Both remove what lies above the same percentiles of the same map (build/bench/bench_metrics, road/imputation). How many
pixels are missing in all is printed beside the times; it differs by a few, since OpenCV's resize rounds otherwise. Needs grad-cam and opencv in the interpreter that runs it, and a release build.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

import cv2
import numpy as np
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer

SIZE = 224
PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "build/bench/bench_metrics"


def removals():
    """Masks of what stays, as the library makes them."""
    cells = (np.arange(49) * 29 % 49 / 48).reshape(7, 7)
    cam = cv2.resize(cells, (SIZE, SIZE))
    return [torch.from_numpy(np.float32(values < np.percentile(values, percent)))
            for values in [cam, 1 - cam] for percent in range(10, 100, 10)]


def theirs():
    """Seconds, and how many pixels were missing."""
    picture = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 4 - 2
    masks, impute = removals(), NoisyLinearImputer()
    begin = time.perf_counter()
    for mask in masks:
        impute(picture, mask)
    return time.perf_counter() - begin, sum(int((mask == 0).sum()) for mask in masks)


def ours():
    command = [PROGRAM, "--benchmark_filter=^road/imputation", "--benchmark_format=json"]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["benchmarks"][0]
    return result["real_time"] / 1e3, int(result["missing"])  # milliseconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3)
    pairs = [(theirs(), ours()) for _ in range(parser.parse_args().repetitions)]
    for name, which in [("pytorch-grad-cam", 0), ("boxcam", 1)]:
        seconds = [pair[which][0] for pair in pairs]
        print(f"{name:18} {statistics.median(seconds):8.3f} s [{min(seconds):.3f}, {max(seconds):.3f}], "
              f"missing {pairs[0][which][1]}")
    ratios = [a[0] / b[0] for a, b in pairs]
    print(f"ratio              {statistics.median(ratios):8.1f}   [{min(ratios):.1f}, {max(ratios):.1f}]")
