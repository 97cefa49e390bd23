"""What a disk may hold after the power went: the journal of faults.cpp replayed, with what was not fsynced dropped, kept
or half kept at random. Promised are the bytes of a file at its last fsync, and a folder's entries at the folder's."""

import os
import pathlib


class File:
    def __init__(self):
        self.live = bytearray()  # as programs see it
        self.synced = b""

    def after_cut(self, random):
        if bytes(self.live) == self.synced:
            return self.synced
        kept = random.randrange(len(self.live) + 1)
        return random.choice([self.synced, bytes(self.live), bytes(self.live[:kept]),
                              bytes(self.live[:kept]) + b"\0" * (len(self.live) - kept)])


FOLDER = object()


class Disk:
    """Paths are those of the journal; only what lies in `folder`, and its own entry, is followed."""

    def __init__(self, folder):
        self.folder = folder
        self.live = {}  # path -> File or FOLDER
        self.synced = {}
        self.pending = []  # changes of entries that no fsync of their folder has covered: (path, File, FOLDER or None)
        self.opened = {}  # the journal's number of an open -> path, File or FOLDER

    def follows(self, path):
        return path == self.folder or path.startswith(self.folder + "/")

    def set(self, path, what):
        if what is None:
            self.live.pop(path, None)
        else:
            self.live[path] = what
        self.pending.append((path, what))

    def replay(self, journal):
        at = 0
        while at < len(journal):
            end = journal.index(b"\n", at)
            word, _, rest = journal[at:end].decode().partition(" ")
            at = end + 1
            if word == "write":
                number, begin, count = map(int, rest.split())
                self.write(number, begin, journal[at:at + count])
                at += count
            else:
                getattr(self, word)(rest)

    def open(self, rest):
        number, flags, path = rest.split(" ", 2)
        if not self.follows(path) and path != ".":
            return
        found = self.live.get(path, FOLDER if path == "." else None)
        if found is None and int(flags) & os.O_CREAT:
            found = File()
            self.set(path, found)
        if isinstance(found, File) and int(flags) & os.O_TRUNC:
            found.live.clear()
        self.opened[int(number)] = path, found, bool(int(flags) & os.O_APPEND)

    def write(self, number, begin, content):
        if number not in self.opened:
            return
        _, file, appends = self.opened[number]
        begin = len(file.live) if appends else begin
        file.live[begin:begin + len(content)] = content

    def sync(self, rest):
        if int(rest) not in self.opened:
            return
        path, found, _ = self.opened[int(rest)]
        if isinstance(found, File):
            found.synced = bytes(found.live)
            return
        covered = [change for change in self.pending if (os.path.dirname(change[0]) or ".") == path]
        self.pending = [change for change in self.pending if change not in covered]
        self.apply(covered)

    def apply(self, changes):
        for path, what in changes:
            if what is None:
                self.synced.pop(path, None)
            else:
                self.synced[path] = what

    def rename(self, rest):
        before, after = rest.split("\t")
        if self.follows(after):
            self.set(after, self.live[before])
            self.set(before, None)

    def unlink(self, path):
        if self.follows(path):
            self.set(path, None)

    def mkdir(self, path):
        if self.follows(path):
            self.set(path, FOLDER)

    def promises(self, path):
        """Whether an entry and all above it were synced."""
        return path in self.synced and (path == self.folder or self.promises(os.path.dirname(path)))

    def cut(self, room, random):
        """Writes below `room` what is left."""
        kept = random.choice([0, random.randrange(len(self.pending) + 1), len(self.pending)])
        subset = self.pending[:kept] if random.random() < 0.7 else [c for c in self.pending if random.random() < 0.5]
        self.apply(subset)
        for path, what in sorted(self.synced.items()):  # a folder before what is in it
            place = pathlib.Path(room, path)
            if not place.parent.is_dir():
                continue
            if what is FOLDER:
                place.mkdir(exist_ok=True)
            else:
                place.write_bytes(what.after_cut(random))
