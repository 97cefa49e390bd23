#!/usr/bin/env python3
"""boxcam and PyTorch at the same work, in turn, on the same machine; prints one Markdown table.

    python3 bench/compare_pytorch.py [--only ROW,...] [--repetitions 5] [--threads 2]

A row relates one time to the fastest of others. Each time is taken once per repetition, by a process of its own: ours
by the programs in build/bench, PyTorch's by this file. The turns alternate, so that whatever else the machine does hits
all of them; the table shows medians and, in brackets, the extremes; a ratio is the median of the repetitions' ratios.
Memory is the largest resident size of the process, libraries included.
f32, 224 px, 4 classes, batch 16 unless the row says otherwise; PyTorch in channels_last. The rows `run` and `run-ce`
are whole trainings: ours the whole process of `train`, PyTorch's without the import (pytorch_training.py). Needs torch
and torchvision (Debian: python3-torchvision; 1.13 will do, without torch.compile) in the interpreter that runs it and a
release build; torch.compile needs a C++ compiler.
"""

import argparse
import copy
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

BATCH, SIZE, CLASSES, LAMBDA = 16, 224, 4, 1.0
EPOCHS = 15
BUILD = pathlib.Path(__file__).resolve().parent.parent / "build/bench"

# ---- what is measured -----------------------------------------------------------------------------------------------

# Ours: program and name of the benchmark.
OURS = {
    "boxcam cross-entropy step": ("bench_resnet", "cross_entropy_step/resnet50"),
    "boxcam bf16 step": ("bench_resnet", "cross_entropy_step/resnet50/bf16"),
    "boxcam full step": ("bench_resnet", "train_step/resnet50/full"),
    "boxcam thesis step": ("bench_resnet", "train_step/resnet50/thesis"),
    "boxcam transfer step": ("bench_resnet", "train_step/resnet50/transfer"),
    "boxcam mini step": ("bench_resnet", "cross_entropy_step/resnet-mini"),
    "boxcam inference": ("bench_resnet", "inference/resnet50"),
    "boxcam CAM 16": ("bench_grad_cam", "grad_cam/layer4/fused/forward_backward/16"),
    "boxcam CAM 256": ("bench_grad_cam", "grad_cam/layer4/fused/forward_backward/256"),
    "copy of the activations": ("bench_grad_cam", "copy_activations/layer4/256"),
    "bare convolutions": ("bench_ops", "bare_convolutions/resnet50/auto"),
}

# Ours, whole trainings: what `train` is told besides the data set. PyTorch's: pytorch_training.py.
OUR_RUNS = {
    "boxcam run": ("--lambda", "4", "--cam-target", "centered"),
    "boxcam run, cross-entropy": ("--lambda", "0"),
}
RUN_OPTIONS = ("--model resnet-mini --image-size 96 --batch 32 --augment flip --lr 0.05 --nesterov --schedule cosine "
               "--warmup 0.05 --weight-decay 0.0005 --best-by last").split()


class Row(NamedTuple):
    title: str
    ours: str
    others: tuple  # the fastest of these counts
    aim: float = None  # the ratio should be at most this


ROWS = {
    "step": Row("cross-entropy step", "boxcam cross-entropy step", ("PyTorch step", "PyTorch step compiled"), 0.75),
    "bare": Row("cross-entropy step against its bare convolutions", "boxcam cross-entropy step",
                ("bare convolutions",), 1.25),
    "full": Row("box-penalty step: shared, full, train-mode CAM", "boxcam full step", ("PyTorch full step",)),
    "full-step": Row("the same against our cross-entropy step", "boxcam full step",
                     ("boxcam cross-entropy step",), 1.01),
    "full-thesis": Row("the same against the thesis' step in PyTorch", "boxcam full step",
                       ("PyTorch thesis step",), 1 / 2.8),
    "thesis": Row("the thesis' step: copy, eval-mode CAM, constant", "boxcam thesis step",
                  ("PyTorch thesis step",), 1 / 2.2),
    "thesis-step": Row("the same against our cross-entropy step", "boxcam thesis step",
                       ("boxcam cross-entropy step",), 1.30),
    "transfer-step": Row("transfer against our cross-entropy step", "boxcam transfer step",
                         ("boxcam cross-entropy step",)),
    "cam16": Row("Grad-CAM + penalty at layer4, forward + backward", "boxcam CAM 16", ("PyTorch CAM 16",), 1 / 20),
    "cam16-compiled": Row("the same against torch.compile", "boxcam CAM 16", ("PyTorch CAM 16 compiled",), 1 / 10),
    "cam256": Row("Grad-CAM + penalty at layer4, batch 256", "boxcam CAM 256", ("PyTorch CAM 256",), 1 / 30),
    "cam256-compiled": Row("the same against torch.compile", "boxcam CAM 256", ("PyTorch CAM 256 compiled",), 1 / 15),
    "cam256-copy": Row("the same against copying the activations once", "boxcam CAM 256",
                       ("copy of the activations",), 1.7),
    "inference": Row("inference", "boxcam inference", ("PyTorch inference", "PyTorch inference compiled"), 0.8),
    "mini": Row("resnet-mini step, batch 32, 96 px", "boxcam mini step",
                ("PyTorch mini step", "PyTorch mini step compiled")),
    "bf16": Row("bf16 cross-entropy step", "boxcam bf16 step",
                ("PyTorch bf16 autocast step", "PyTorch bf16 autocast step compiled"), 0.9),
    "bf16-f32": Row("the same against our f32 step", "boxcam bf16 step", ("boxcam cross-entropy step",), 0.65),
    "run": Row("training of resnet-mini on 2,000 scenes, 96 px, box penalty", "boxcam run", ("PyTorch run",), 0.6),
    "run-ce": Row("the same without the penalty", "boxcam run, cross-entropy", ("PyTorch run, cross-entropy",), 0.6),
}

# ---- PyTorch: each function returns the call to time ----------------------------------------------------------------


def compiled(function):
    import torch

    if not hasattr(torch, "compile"):
        raise NotAvailable("this PyTorch has no torch.compile")
    return torch.compile(function)


class NotAvailable(Exception):
    pass


def resnet50():
    import torch
    import torchvision

    return torchvision.models.resnet50(num_classes=CLASSES).to(memory_format=torch.channels_last).train()


def resnet_mini():
    """The network of models/resnet.cpp of that name."""
    import torch
    from torchvision.models.resnet import BasicBlock

    layers = [torch.nn.Conv2d(3, 16, 3, 2, 1, bias=False), torch.nn.BatchNorm2d(16), torch.nn.ReLU(inplace=True)]
    channels = 16
    for width, stride in ((16, 2), (32, 1), (64, 2), (64, 1)):
        downsample = None
        if stride != 1 or width != channels:
            downsample = torch.nn.Sequential(torch.nn.Conv2d(channels, width, 1, stride, bias=False),
                                             torch.nn.BatchNorm2d(width))
        layers.append(BasicBlock(channels, width, stride, downsample))
        channels = width
    layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(channels, CLASSES)]
    return torch.nn.Sequential(*layers).to(memory_format=torch.channels_last).train()


def some_images(batch=BATCH, size=SIZE):
    import torch

    return torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)


def some_labels(batch=BATCH):
    import torch

    return torch.arange(batch) % CLASSES


def some_masks(batch=BATCH):
    """For each image one box, the middle quarter of the picture."""
    import torch

    mask = torch.zeros(batch, SIZE, SIZE)
    mask[:, SIZE // 4:3 * SIZE // 4, SIZE // 4:3 * SIZE // 4] = 1
    return mask


def sgd(model):
    import torch

    return torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9, weight_decay=1e-4)


def cross_entropy_step(model, batch=BATCH, size=SIZE, with_compile=False, bf16=False):
    import torch

    if bf16 and not hasattr(torch, "autocast"):
        raise NotAvailable("this PyTorch has no torch.autocast")

    optimizer, images, labels = sgd(model), some_images(batch, size), some_labels(batch)
    forward = compiled(model) if with_compile else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = torch.nn.functional.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()

    return step


def inference(with_compile=False):
    import torch

    model, images = resnet50().eval(), some_images()
    forward = compiled(model) if with_compile else model

    def step():
        with torch.no_grad():
            forward(images)

    return step


def normalized_cam(alpha, A, size=SIZE):
    """From alpha [N, K] and A [N, K, h, w] to the CAM [N, H, W], as pytorch-grad-cam 1.4, differentiable."""
    import torch

    def scale(maps):
        maps = maps - maps.amin((1, 2), keepdim=True)
        return maps / (1e-7 + maps.amax((1, 2), keepdim=True))

    M = (alpha[:, :, None, None] * A).sum(1).relu()
    C = torch.nn.functional.interpolate(scale(M)[:, None], (size, size), mode="bilinear", align_corners=False)
    return scale(C[:, 0])


def grad_cam(logits, labels, A, size=SIZE, create_graph=True):
    """Grad-CAM that can be differentiated again."""
    import torch

    score = logits.gather(1, labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, A, create_graph=create_graph)
    return normalized_cam(gradient.mean((2, 3)), A, size)


def full_step():
    import torch

    model, images, labels, mask = resnet50(), some_images(), some_labels(), some_masks()
    optimizer, taps = sgd(model), []
    model.layer4.register_forward_hook(lambda module, inputs, output: taps.append(output))

    def step():
        optimizer.zero_grad(set_to_none=True)
        taps.clear()
        logits = model(images)
        penalty = (grad_cam(logits, labels, taps[0]) * (1 - mask)).mean()
        (torch.nn.functional.cross_entropy(logits, labels) + LAMBDA * penalty).backward()
        optimizer.step()

    return step


class PytorchGradCam:
    """The arithmetic of pytorch-grad-cam 1.4's GradCAM, with its hooks, its copies to NumPy and its loop over images.
    PyTorch's interpolate stands for cv2.resize, which computes the same."""

    def __init__(self, model):
        self.model = model.eval()
        self.handle = model.layer4.register_forward_hook(self.save)

    def save(self, module, inputs, output):
        self.activations = output.detach().cpu().numpy()
        output.register_hook(lambda gradient: setattr(self, "gradients", gradient.detach().cpu().numpy()))

    @staticmethod
    def scale(maps, resize):
        import numpy
        import torch

        scaled = []
        for image in maps:
            image = image - numpy.min(image)
            image = image / (1e-7 + numpy.max(image))
            if resize:
                tensor = torch.from_numpy(numpy.ascontiguousarray(image))[None, None]
                image = torch.nn.functional.interpolate(tensor, (SIZE, SIZE), mode="bilinear")[0, 0].numpy()
            scaled.append(image)
        return numpy.float32(scaled)

    def __call__(self, images, labels):
        import numpy

        logits = self.model(images)
        self.model.zero_grad()
        logits.gather(1, labels[:, None]).sum().backward(retain_graph=True)
        alpha = numpy.mean(self.gradients, axis=(2, 3))
        M = numpy.maximum((alpha[:, :, None, None] * self.activations).sum(axis=1), 0)
        return self.scale(self.scale(M, resize=True), resize=False)


def thesis_step():
    """As people write it: copy, explain the copy, train the original."""
    import torch

    classifier, images, labels, mask = resnet50(), some_images(), some_labels(), some_masks()
    optimizer = sgd(classifier)

    def step():
        C = PytorchGradCam(copy.deepcopy(classifier))(images, labels)
        penalty = (torch.from_numpy(C) * (1 - mask)).mean()
        optimizer.zero_grad(set_to_none=True)
        (torch.nn.functional.cross_entropy(classifier(images), labels) + LAMBDA * penalty).backward()
        optimizer.step()

    return step


def cam_alone(batch, with_compile=False):
    """Grad-CAM and penalty on given activations, and the penalty's gradient. Eager: as anybody writes it, through
    autograd. torch.compile cannot differentiate twice, and is given the closed form, alpha = W / (h w)."""
    import torch

    A = torch.rand(batch, 2048, 7, 7).to(memory_format=torch.channels_last).requires_grad_()
    W = (torch.rand(CLASSES, 2048) * 0.04 - 0.02).requires_grad_()
    labels, outside = some_labels(batch), 1 - some_masks(batch)

    def through_autograd(A, W):
        return (grad_cam(A.mean((2, 3)) @ W.t(), labels, A) * outside).mean()

    def closed_form(A, W):
        return (normalized_cam(W[labels] / 49, A) * outside).mean()

    penalty = compiled(closed_form) if with_compile else through_autograd
    return lambda: torch.autograd.grad(penalty(A, W), (A, W))


def whole_run(penalty_weight, path, epochs):
    import pytorch_training

    return pytorch_training.train(resnet_mini(), grad_cam, path, epochs, penalty_weight)


PYTORCH_RUNS = {"PyTorch run": 4.0, "PyTorch run, cross-entropy": 0.0}  # lambda
PYTORCH = {
    "PyTorch step": lambda: cross_entropy_step(resnet50()),
    "PyTorch step compiled": lambda: cross_entropy_step(resnet50(), with_compile=True),
    "PyTorch bf16 autocast step": lambda: cross_entropy_step(resnet50(), bf16=True),
    "PyTorch bf16 autocast step compiled": lambda: cross_entropy_step(resnet50(), with_compile=True, bf16=True),
    "PyTorch full step": full_step,
    "PyTorch thesis step": thesis_step,
    "PyTorch mini step": lambda: cross_entropy_step(resnet_mini(), 32, 96),
    "PyTorch mini step compiled": lambda: cross_entropy_step(resnet_mini(), 32, 96, with_compile=True),
    "PyTorch inference": inference,
    "PyTorch inference compiled": lambda: inference(with_compile=True),
    "PyTorch CAM 16": lambda: cam_alone(16),
    "PyTorch CAM 16 compiled": lambda: cam_alone(16, with_compile=True),
    "PyTorch CAM 256": lambda: cam_alone(256),
    "PyTorch CAM 256 compiled": lambda: cam_alone(256, with_compile=True),
}


def pytorch_turn(name, options):
    """Prints the mean seconds of a call, after one to warm up, or of a whole run; in a child process."""
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    result = {"version": f"PyTorch {torch.__version__}"}
    if name in PYTORCH_RUNS:
        begin = time.perf_counter()
        result["accuracy"] = whole_run(PYTORCH_RUNS[name], options.packed, options.epochs)
        result["seconds"] = time.perf_counter() - begin
        return print(json.dumps(result))
    try:
        call = PYTORCH[name]()
        call()
        calls, begin, seconds = 0, time.perf_counter(), 0
        while calls < 3 or seconds < 0.5:
            call()
            calls += 1
            seconds = time.perf_counter() - begin
        result["seconds"] = seconds / calls
    except NotAvailable as error:
        result["missing"] = str(error)
    except Exception as error:  # torch.compile without a compiler, for instance
        if "compiled" not in name:
            raise
        result["missing"] = f"torch.compile failed: {type(error).__name__}"
        print(error, file=sys.stderr)
    print(json.dumps(result))


# ---- turns ----------------------------------------------------------------------------------------------------------


class Turn(NamedTuple):
    seconds: float  # None: not available, `about` says why
    memory: int
    about: str
    accuracy: float = None  # of a whole run, on the validation split


def run(command, threads):
    """Standard output and the largest resident size, in bytes, of a process."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    child = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=sys.stderr, text=True,
                             env=environment)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))} failed")
    return output, usage.ru_maxrss * 1024


def boxcam_turn(name, options):
    program, benchmark = OURS[name]
    filter_ = f"^{benchmark}(/iterations:[0-9]+)?/(real|manual)_time$"
    output, memory = run([options.build / program, f"--benchmark_filter={filter_}", "--benchmark_format=json"],
                         options.threads)
    report = json.loads(output) if output.strip() else {"benchmarks": []}
    if len(report["benchmarks"]) != 1:
        return Turn(None, 0, f"{program} has no {benchmark}")
    (result,) = report["benchmarks"]
    if result.get("error_occurred"):
        return Turn(None, 0, result["error_message"])
    unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}[result["time_unit"]]
    return Turn(result["real_time"] * unit, memory, f"oneDNN {report['context']['oneDNN']}")


def boxcam_run(name, options):
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        _, memory = run([options.build.parent / "apps/train", "--data", f"packed:{options.packed}", *RUN_OPTIONS,
                         *OUR_RUNS[name], "--epochs", options.epochs, "--test-images", 50, "--threads", options.threads,
                         "--output", f"{folder}/run"], options.threads)
        seconds = time.perf_counter() - begin
        with open(f"{folder}/run/epochs.jsonl") as file:
            accuracy = json.loads(file.readlines()[-1])["val_accuracy"]
        with open(f"{folder}/run/run.json") as file:
            onednn = json.load(file)["identity"]["onednn"]
    return Turn(seconds, memory, f"oneDNN {onednn}", accuracy)


def torch_turn(name, options):
    output, memory = run([sys.executable, __file__, "--turn", name, "--threads", options.threads, "--packed",
                          options.packed or "", "--epochs", options.epochs], options.threads)
    result = json.loads(output.splitlines()[-1])
    return Turn(result.get("seconds"), memory, result.get("missing", result["version"]), result.get("accuracy"))


def take_turns(names, options):
    """name -> its turns, one per repetition; what is not available is asked once."""
    turns = {name: [] for name in names}
    for repetition in range(options.repetitions):
        for name, taken in turns.items():
            if taken and taken[0].seconds is None:
                continue
            turn = boxcam_turn if name in OURS else boxcam_run if name in OUR_RUNS else torch_turn
            taken.append(turn(name, options))
            seconds = taken[-1].seconds
            print(f"{repetition + 1}/{options.repetitions} {name}: "
                  f"{taken[-1].about if seconds is None else duration(seconds)}", file=sys.stderr)
    return turns


# ---- the table ------------------------------------------------------------------------------------------------------


def duration(seconds):
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def spread(values, text):
    return f"{text(statistics.median(values))} ({text(min(values))} - {text(max(values))})"


def time_cell(name, turns):
    if turns[0].seconds is None:
        return f"{name}: not available ({turns[0].about})"
    accuracy = ""
    if turns[0].accuracy is not None:
        accuracy = f", validation accuracy {statistics.median(t.accuracy for t in turns):.1%}"
    return f"{name}: {spread([t.seconds for t in turns], duration)}{accuracy}"


def print_table(rows, turns):
    def median(name):
        return statistics.median(t.seconds for t in turns[name])

    print("| | ours | against | ratio | aim |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        known = [name for name in row.others if turns[name][0].seconds is not None]
        ratio = ""
        if known and turns[row.ours][0].seconds is not None:
            fastest = min(known, key=median)
            ratio = spread([a.seconds / b.seconds for a, b in zip(turns[row.ours], turns[fastest])], "{:.3g}".format)
        others = "<br>".join(time_cell(name, turns[name]) for name in row.others)
        print(f"| {row.title} | {time_cell(row.ours, turns[row.ours])} | {others} | {ratio} "
              f"| {f'{row.aim:.3g}' if row.aim else ''} |")
    step = ROWS["step"]
    if step in rows:
        sizes = {name: statistics.median(t.memory for t in turns[name])
                 for name in (step.ours, *step.others) if turns[name][0].seconds is not None}
        ours, *others = (f"{name}: {size / 1e9:.2f} GB" for name, size in sizes.items())
        fastest = min((name for name in sizes if name != step.ours), key=median)
        print(f"| peak resident memory of that step | {ours} | {'<br>'.join(others)} "
              f"| {sizes[step.ours] / sizes[fastest]:.2f} | 0.7 |")


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="ROW,...", help=", ".join(ROWS))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--build", type=pathlib.Path, default=BUILD, help="folder of our programs")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the rows run and run-ce")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    parser.add_argument("--packed", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        return pytorch_turn(options.turn, options)

    names = options.only.split(",") if options.only else list(ROWS)
    for name in names:
        if name not in ROWS:
            sys.exit(f"no row '{name}'; there are {', '.join(ROWS)}")
    rows = [ROWS[name] for name in names]
    wanted = list(dict.fromkeys(name for row in rows for name in (row.ours, *row.others)))
    trainings = any(name in OUR_RUNS for name in wanted)
    for package in ("torch", "torchvision"):
        if any(name in PYTORCH or name in PYTORCH_RUNS for name in wanted) and not importlib.util.find_spec(package):
            sys.exit(f"{sys.executable} has no {package}; use an interpreter that has it (Debian: python3-torchvision)")
    apps = options.build.parent / "apps"
    for program in {options.build / OURS[name][0] for name in wanted if name in OURS} | (
            {apps / "prepare", apps / "train"} if trainings else set()):
        if not program.exists():
            sys.exit(f"{program} does not exist; build it first (scripts/test, or cmake --build build)")

    with tempfile.TemporaryDirectory() as folder:
        if trainings:
            options.packed = f"{folder}/scenes.packed"
            run([apps / "prepare", "--image-size", 96, "--augment", "flip", "--val-images", 200,
                 "--output", options.packed], options.threads)
        turns = take_turns(wanted, options)
    versions = {t.about for taken in turns.values() for t in taken if t.seconds is not None}
    epochs = f"; trainings of {options.epochs} epochs" if trainings else ""
    print(f"{processor()}, {options.threads} threads; {', '.join(sorted(versions))}; "
          f"{options.repetitions} repetitions{epochs}\n")
    print_table(rows, turns)


if __name__ == "__main__":
    main()
