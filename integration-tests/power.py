"""The directories that a power cut leaves, from the record of what was asked of the kernel (power/record.c).

What is sure to be there after a cut: the bytes of a file as they were when an fsync() of it began that came back, and the names of a directory
as they were when an fsync() of that began. Of all that was written since, anything may be there and anything may be missing: writes one by one
and in part, sizes, names made, replaced and removed. See Pillai et al., All File Systems Are Not Created Equal (OSDI 2014)."""
import os
import pathlib
import socket
import struct

RECORD = struct.Struct("<4I4Q")
SECTOR = 512


class Record:
    def __init__(self, data, at):
        kind, path, other, self.flags, self.inode, self.offset, self.len, self.token = RECORD.unpack_from(data, at)
        at += RECORD.size
        self.kind = chr(kind)
        self.path, self.other = data[at:at + path].decode(), data[at + path:at + path + other].decode()
        at += path + other
        self.bytes = data[at:at + self.len]
        self.end = at + self.len


def read(log):
    data, at, records = pathlib.Path(log).read_bytes(), 0, []
    while at < len(data):
        records.append(Record(data, at))
        at = records[-1].end
    return records


def mark(log, text):
    """Something that a client knows or asks for, at this place of the record."""
    path = text.encode()
    fd = os.open(log, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, RECORD.pack(ord("m"), len(path), 0, 0, 0, 0, 0, 0) + path)
    finally:
        os.close(fd)


class File:
    """What lasts, and what was done since: ("w", offset, bytes) or ("t", size) or ("a", size)."""

    def __init__(self, socket=False):
        self.lasting, self.since, self.socket = b"", [], socket

    @staticmethod
    def apply(content, op):
        if op[0] == "w":
            content = content.ljust(op[1], b"\0")
            return content[:op[1]] + op[2] + content[op[1] + len(op[2]):]
        return content[:op[1]].ljust(op[1], b"\0") if op[0] == "t" else content.ljust(op[1], b"\0")

    def settle(self, n):
        for op in self.since[:n]:
            self.lasting = self.apply(self.lasting, op)
        del self.since[:n]

    def image(self, chosen):
        content = self.lasting
        for op in chosen(self.since):
            content = self.apply(content, op)
        return content


class Directory:
    """{name: File or Directory} as it lasts, and what was done since: {name: object or None}, a rename being one of them."""

    def __init__(self):
        self.lasting, self.since = {}, []

    def now(self, chosen=list):
        names = dict(self.lasting)
        for op in chosen(self.since):
            names.update(op)
        return {k: v for k, v in names.items() if v is not None}

    def settle(self, n):
        for op in self.since[:n]:
            self.lasting.update(op)
        del self.since[:n]


class Disk:
    """Replays a record. The root itself is there from the start."""

    def __init__(self, root):
        self.root, self.top, self.inodes, self.syncs = str(root), Directory(), {}, {}

    def place(self, path):
        """(directory, name) of a path, as it is now; an unlinked file's path is known to nobody."""
        at, parts = self.top, path[len(self.root) + 1:].split("/")
        for p in parts[:-1]:
            at = at.now()[p]
        return at, parts[-1]

    def found(self, r):
        if r.flags:  # a directory, of a sync
            if r.path == self.root:
                return self.top
            d, name = self.place(r.path)
            return d.now()[name]
        return self.inodes[r.inode]

    def take(self, r):
        if r.kind in "cdnuls":
            if r.path == self.root:
                return
            d, name = self.place(r.path)
        if r.kind == "c":
            here = d.now().get(name)
            if here is None:
                here = File()
                d.since.append({name: here})
            self.inodes[r.inode] = here
        elif r.kind == "d":
            d.since.append({name: Directory()})
        elif r.kind == "s":
            d.since.append({name: File(socket=True)})
        elif r.kind == "u":
            d.since.append({name: None})
        elif r.kind in "nl":
            to, other = self.place(r.other)
            if r.kind == "l":
                to.since.append({other: d.now()[name]})
            else:
                assert to is d, "a rename from one directory to another is not understood"
                d.since.append({other: d.now()[name], name: None})
        elif r.kind == "w":
            self.inodes[r.inode].since.append(("w", r.offset, r.bytes))
        elif r.kind in "ta":
            self.inodes[r.inode].since.append((r.kind, r.offset))
        elif r.kind == "b":
            what = self.found(r)
            self.syncs[r.token] = what, list(what.since)
        elif r.kind == "e":
            what, begun = self.syncs.pop(r.token)
            what.settle(sum(any(op is b for b in begun) for op in what.since))  # another sync may have ended in between

    def image(self, chosen_of):
        """{path below the root: bytes, None for a directory, True for a socket}, of what chosen_of(object) picks from what was done since."""
        found, seen = {}, {}

        def walk(d, below):
            for name, what in d.now(chosen_of(d)).items():
                if isinstance(what, Directory):
                    found[below + name] = None
                    walk(what, below + name + "/")
                else:
                    if id(what) not in seen:
                        seen[id(what)] = True if what.socket else what.image(chosen_of(what))
                    found[below + name] = seen[id(what)]
        walk(self.top, "")
        return found


def everything(_):
    return list


def nothing(_):
    return lambda since: []


def some(chance):
    """Any part of it; of a write that is there, sometimes only the first sectors or the last."""
    def torn(op):
        if op[0] != "w" or len(op[2]) <= SECTOR or chance.random() > .3:
            return op
        cut = chance.randrange(SECTOR, len(op[2]), SECTOR)
        return ("w", op[1], op[2][:cut]) if chance.random() < .5 else ("w", op[1] + cut, op[2][cut:])

    def chosen_of(_):
        share = chance.choice((.1, .5, .9))
        return lambda since: [torn(op) if isinstance(op, tuple) else op for op in since if chance.random() < share]
    return chosen_of


def lay_out(image, root):
    root = pathlib.Path(root)
    root.mkdir()
    for path, content in image.items():
        if content is None:
            (root / path).mkdir()
        elif content is True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.bind(str(root / path))
        else:
            (root / path).write_bytes(content)
            (root / path).chmod(0o444 if path.endswith(".so") else 0o600)


def is_there(root):
    """The same of a real directory."""
    found = {}
    for p in sorted(pathlib.Path(root).rglob("*")):
        found[str(p.relative_to(root))] = None if p.is_dir() else True if p.is_socket() else p.read_bytes()
    return found
