#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""An SFTP server (version 3, draft-ietf-secsh-filexfer-02) that has one empty file `object`, and lies as it is told.

sftptrap.py FILE: the file holds the word for the lie; sshd runs this for each session.
"""
import struct
import sys
import time

INIT, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, OPENDIR, READDIR = 1, 3, 4, 5, 6, 7, 8, 11, 12
REMOVE, MKDIR, RENAME, EXTENDED = 13, 14, 18, 200
VERSION, STATUS, HANDLE, DATA, NAME, ATTRS = 2, 101, 102, 103, 104, 105
OK, EOF, FAILURE, UNSUPPORTED = 0, 1, 4, 8


def text(s):
    return struct.pack(">I", len(s)) + s


def attributes(mode=0o100600, size=5):
    return struct.pack(">IQI", 1 | 4, size, mode)


def status(code):
    return STATUS, struct.pack(">I", code) + text(b"so") + text(b"")


def names(*entries):
    return NAME, struct.pack(">I", len(entries)) + b"".join(text(n) + text(n) + a for n, a in entries)


class Server:
    def __init__(self, lie):
        self.lie = lie
        self.listed = False

    def read(self, length):
        answers = {
            "more": (DATA, text(b"x" * (length + 1))),
            "none": (DATA, text(b"")),
            "false-length": (DATA, struct.pack(">I", 0x7FFFFFF0) + b"x"),
            "other-type": (HANDLE, text(b"h")),
            "eof": status(EOF),
            "empty": (DATA, b""),
        }
        return answers.get(self.lie, (DATA, text(b"x" * length)))

    def readdir(self):
        first, self.listed = not self.listed, True
        if self.lie == "endless":
            time.sleep(0.01)  # so that it is the time that ends it, not the number of names
            return names(*[(b"n%03d" % n, attributes()) for n in range(400)])
        if not first:
            return status(EOF)
        if self.lie == "names":
            return names((b"../up", attributes()), (b"/etc/passwd", attributes()), (b"", attributes()),
                         (b"a\0b", attributes()), (b"object", attributes()))
        if self.lie == "no-kind":
            return names((b"object", struct.pack(">I", 0)))
        if self.lie == "false-count":
            return NAME, struct.pack(">I", 1000) + text(b"object")
        return names((b"object", attributes()))

    def stat(self):
        answers = {
            "no-kind": (ATTRS, struct.pack(">I", 0)),
            "empty": (ATTRS, b""),
            "other-type": (HANDLE, text(b"h")),
            "directory": (ATTRS, attributes(0o40700)),
        }
        return answers.get(self.lie, (ATTRS, attributes()))

    def extended(self, name):
        if name == b"fsync@openssh.com":
            return status(UNSUPPORTED if self.lie == "no-sync" else FAILURE if self.lie == "sync" else OK)
        free = 0 if self.lie == "full" else 1 << 30
        return 201, struct.pack(">11Q", 4096, 4096, 1 << 30, free, free, 0, 0, 0, 0, 0, 255)

    def answer(self, kind, body):
        length = struct.unpack(">I", body[:4])[0]
        first = body[4:4 + length]
        if kind in (OPEN, OPENDIR):
            return (HANDLE, b"") if self.lie == "empty-handle" else (HANDLE, text(b"h"))
        if kind == READ:
            return self.read(struct.unpack(">I", body[-4:])[0])
        if kind == WRITE:
            return status(FAILURE if self.lie in ("full", "broken") else OK)
        if kind == READDIR:
            return self.readdir()
        if kind in (LSTAT, FSTAT):
            return (ATTRS, attributes(0o40700)) if first.endswith(b".borderfs") else self.stat()
        if kind == EXTENDED:
            return self.extended(first)
        if kind == RENAME:
            return status(FAILURE if self.lie == "taken" else OK)
        if kind == REMOVE and self.lie == "empty":
            return STATUS, b""
        return status(OK)


def take(length):
    data = sys.stdin.buffer.read(length)
    if len(data) < length:
        sys.exit(0)
    return data


def give(answer, slowly):
    step = 1 if slowly else len(answer)
    for at in range(0, len(answer), step):
        sys.stdout.buffer.write(answer[at:at + step])
        sys.stdout.buffer.flush()
        time.sleep(0.02 if slowly else 0)


def main():
    with open(sys.argv[1]) as f:
        server = Server(f.read().strip())
    while True:
        packet = take(struct.unpack(">I", take(4))[0])
        if packet[0] == INIT:
            kind, body = VERSION, struct.pack(">I", 3)
        else:
            if server.lie == "silent":
                take(1 << 30)
            kind, body = server.answer(packet[0], packet[5:])
            body = packet[1:5] + body
        give(struct.pack(">IB", len(body) + 1, kind) + body, server.lie == "trickle" and kind == DATA)


main()
