"""What scripts/faults and scripts/kills share: tiny runs of boxcam's programs, the preloaded library (faults.cpp), and
the comparison of what a run left with what it should have left. Standard library only."""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
WATCHDOG = 120  # seconds: a program that takes longer hangs

MACHINE = ["--threads", "1", "--loader-threads", "1"]
SIZES = ["--image-size", "32", "--batch", "4"]
TRAIN = ["--data", "csv:data/table.csv", "--model", "resnet-mini", "--epochs", "2", "--lambda", "1", "--tensorboard",
         "--keep-epochs", *SIZES, *MACHINE]


def write_png(path, colour, square):
    """A coloured square on grey, 24 x 24."""
    rows = b""
    for y in range(24):
        row = b"".join(bytes(colour if square[0] <= x < square[2] and square[1] <= y < square[3] else (128, 128, 128))
                       for x in range(24))
        rows += b"\0" + row
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    header = struct.pack(">IIBBBBB", 24, 24, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) +
                     chunk(b"IEND", b""))


def make_data(folder):
    """A table of pictures with a box each: 8 to train, 4 to validate, 4 to test; every fourth one is a JPEG."""
    folder.mkdir()
    lines = ["# boxes: pixels", "path,label,xmin,ymin,xmax,ymax,split"]
    for i in range(16):
        split = "train" if i < 8 else "validation" if i < 12 else "test"
        label, colour = [("plane", (250, 20, 20)), ("ship", (20, 20, 250))][i % 2]
        square = (2 + i % 5, 3 + i % 3, 14 + i % 5, 15 + i % 3)
        name = f"{i}.png"
        if i % 4 == 3:
            name = f"{i}.jpg"
            shutil.copy(ROOT / "tests/fixtures/rgb.jpg", folder / name)
            square = (1, 1, 5, 5)
        else:
            write_png(folder / name, colour, square)
        lines.append(f"{name},{label}," + ",".join(map(str, square)) + f",{split}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")


class Outcome:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err
        self.hung = status is None
        self.died = status is not None and status < 0

    def sentence_fault(self, program):
        """What is wrong with the way a failed run said so, or an empty text."""
        if self.hung:
            return "it hung"
        if self.died:
            return f"it was ended by signal {-self.status}"
        lines = [line for line in self.err.splitlines() if line and not line.startswith(("note: ", "warning: "))]
        if not lines:
            return "it failed without a word"
        if len(lines) > 1 and program != "explain":  # explain says one sentence of each image
            return f"it said {len(lines)} lines"
        for line in lines:
            if not line.startswith((f"{program}: ", "libgomp: ")):
                return f"its line does not begin with its name: {line}"
            if any(word in line for word in ("std::", "basic_", "Success", "terminate")):
                return f"its sentence is not for users: {line}"
        return ""


class Workshop:
    """A folder with the data, in which programs run; it vanishes at the end."""

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.library = self.build / "tests/libboxcam_faults.so"
        for needed in (self.library, self.build / "apps/train"):
            if not needed.exists():
                raise SystemExit(f"{needed} is missing: build the target {needed.stem.replace('libboxcam', 'boxcam')}.")
        memory = pathlib.Path("/dev/shm")
        base = memory if "TMPDIR" not in os.environ and os.access(memory, os.W_OK) else None
        self.place = tempfile.TemporaryDirectory(prefix="boxcam-faults-", dir=base)
        self.folder = pathlib.Path(self.place.name).resolve()
        make_data(self.folder / "data")
        self.count = 0

    def room(self, template=None):
        """A new folder for one case: with a link to the data, and what is in `template`."""
        self.count += 1
        room = self.folder / f"case{self.count}"
        if template:
            shutil.copytree(template, room, symlinks=True)
        else:
            room.mkdir()
            (room / "data").symlink_to(self.folder / "data")
        return room

    def environment(self, program, faults):
        more = {"OMP_WAIT_POLICY": "passive", "SOURCE_DATE_EPOCH": "0", "MALLOC_ARENA_MAX": "1"}
        if faults:
            more |= {"LD_PRELOAD": str(self.library), "BOXCAM_FAULTS_PROGRAM": program,
                     "BOXCAM_FAULTS_FOLDER": str(self.folder)}
            more |= {"BOXCAM_FAULTS_" + name: str(value) for name, value in faults.items()}
        if "CLOCK" in faults:  # which is looked at then
            del more["SOURCE_DATE_EPOCH"]
        return os.environ | more

    def start(self, room, command, told=subprocess.PIPE, **faults):
        """`told`: where its outputs go."""
        program, *arguments = command
        return subprocess.Popen([self.build / "apps" / program, *arguments], cwd=room, stdin=subprocess.DEVNULL,
                                stdout=told, stderr=told, text=True, errors="replace",
                                env=self.environment(program, faults), start_new_session=True)

    def run(self, room, command, **faults):
        process = self.start(room, command, **faults)
        try:
            out, err = process.communicate(timeout=WATCHDOG)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return Outcome(None, "", "")
        return Outcome(process.returncode, out, err)

    def must_run(self, room, command):
        outcome = self.run(room, command)
        if outcome.status != 0:
            raise SystemExit(f"{' '.join(command)} failed without any fault: {outcome.err}")
        return outcome


def without_clock(name, content):
    """The bytes of a run's file without measured times and free memory."""
    if name.endswith("epochs.jsonl"):
        lines = [json.loads(line) for line in content.decode().splitlines()]
        for line in lines:
            line.pop("seconds"), line.pop("images_per_second")
        return json.dumps(lines).encode()
    if name.endswith("run.json"):
        run = json.loads(content)
        run["loader"].pop("cache_bytes", None)
        return json.dumps(run).encode()
    return content


def content_of(folder):
    """Every file below a folder, by name, without clocks; logs of a study tell of interruptions and are left out."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith("data") and not name.endswith(".log"):
            try:
                files[name] = without_clock(name, path.read_bytes())
            except (ValueError, KeyError, UnicodeDecodeError):
                files[name] = b"unreadable: " + path.read_bytes()
    return files


def difference(found, expected):
    """The first way in which two folders differ, or an empty text."""
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} is left over"
        if found[name] != expected[name]:
            return f"{name} differs"
    return ""


def go_on(workshop, room, command):
    """Runs the command again, as a user would: training goes on from its checkpoint; where it has none, it begins anew
    in an empty folder."""
    if command[0] == "train":
        run = room / command[command.index("--output") + 1]
        if (run / "checkpoint.safetensors").exists():
            command = ["train", "--resume", "--output", command[command.index("--output") + 1]]
        else:
            shutil.rmtree(run, ignore_errors=True)
    return workshop.run(room, command)
