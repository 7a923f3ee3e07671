#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""faultproxy.py TARGET: an HTTP proxy before the server on that port of 127.0.0.1, which does wrong as told.

It prints "port N" and obeys lines on stdin, as lagproxy and trapd do (tool.h):
  do pass               behave
  do answer STATUS      answer so, with header and body, and do not ask the server
  do flip               change a byte in the middle of the server's body
  do short              leave the last byte of it out, and say so in Content-Length
  do lie                announce ten bytes more than there are
  do trickle            send it byte by byte, ten a second
  do endless            send bytes after it for ever
  do lost               close the connection instead of answering what the server has done
  match TEXT            only to requests whose "METHOD PATH" holds TEXT (no TEXT: all)
  times N               only to the next N of them (0: without limit)
  header NAME: VALUE    in answers of `do answer` (no NAME: none)
  body FILE             of answers of `do answer` (no FILE: none)
  seen                  print "seen MS...": when wrong was done since the last `do`, each after the one before
"""
import http.client
import socketserver
import sys
import threading
import time

ENDLESS = b"x" * 65536


class Plan:
    """What to do, to which requests; the lock is a leaf."""

    def __init__(self):
        self.lock = threading.Lock()
        self.action, self.status, self.match, self.times = "pass", 0, "", 0
        self.header, self.body, self.seen = None, b"", []

    def take(self, line):
        with self.lock:
            if self.action == "pass" or self.match not in line or self.times < 0:
                return "pass", 0, None, b""
            if self.times:
                self.times = self.times - 1 or -1
            self.seen.append(time.monotonic())
            return self.action, self.status, self.header, self.body

    def command(self, word, arg):
        with self.lock:
            if word == "do":
                action, _, status = arg.partition(" ")
                self.action, self.status, self.seen = action, int(status or 0), []
            elif word == "match":
                self.match = arg
            elif word == "times":
                self.times = int(arg)
            elif word == "header":
                self.header = tuple(arg.split(": ", 1)) if arg else None
            elif word == "body":
                self.body = b""
                if arg:
                    with open(arg, "rb") as f:
                        self.body = f.read()
            elif word == "seen":
                gaps = [round((b - a) * 1000) for a, b in zip(self.seen[:1] + self.seen, self.seen)]
                print("seen", *gaps)
            else:
                return "error unknown command"
            return "ok"


plan = Plan()
target = int(sys.argv[1])


class Client(socketserver.StreamRequestHandler):
    wbufsize = 0
    disable_nagle_algorithm = True

    def handle(self):
        try:
            while self.request_serve():
                pass
        except OSError:
            pass  # either side has left

    def request_read(self):
        line = self.rfile.readline(65536).decode("latin-1").rstrip("\r\n")
        if not line:
            return None
        headers = []
        while field := self.rfile.readline(65536).decode("latin-1").rstrip("\r\n"):
            name, _, value = field.partition(":")
            headers.append((name, value.strip()))
        lower = {name.lower(): value for name, value in headers}
        if lower.get("expect"):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(int(lower.get("content-length", 0)))
        method, path, _ = line.split(" ", 2)
        return method, path, [h for h in headers if h[0].lower() != "expect"], body

    @staticmethod
    def ask(method, path, headers, body):
        server = http.client.HTTPConnection("127.0.0.1", target, timeout=60)
        server.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            server.putheader(name, value)
        server.endheaders(body)
        answer = server.getresponse()
        data = answer.read()
        kept = [h for h in answer.getheaders() if h[0].lower() not in ("transfer-encoding", "connection", "keep-alive")]
        if method != "HEAD":
            kept = [h for h in kept if h[0].lower() != "content-length"]
        server.close()
        return answer.status, kept, data

    def request_serve(self):
        request = self.request_read()
        if not request:
            return False
        action, status, header, data = plan.take(" ".join(request[:2]))
        if action == "answer":
            headers = [header] if header else []
        else:
            status, headers, data = self.ask(*request)
        return action != "lost" and self.answer(request[0], action, status, headers, data)

    def answer(self, method, action, status, headers, data):
        if method == "HEAD":
            self.head(status, headers)
            return True
        if action == "flip":
            middle = len(data) // 2
            data = data[:middle] + bytes(b ^ 1 for b in data[middle:middle + 1]) + data[middle + 1:]
        elif action == "short":
            data = data[:-1]
        if action == "endless":
            self.head(status, headers + [("Connection", "close")])
            while True:
                self.wfile.write(data)
                data = ENDLESS
        self.head(status, headers + [("Content-Length", str(len(data) + (10 if action == "lie" else 0)))])
        if action == "trickle":
            for i in range(len(data)):
                self.wfile.write(data[i:i + 1])
                time.sleep(0.1)
        else:
            self.wfile.write(data)
        return action != "lie"

    def head(self, status, headers):
        lines = [f"HTTP/1.1 {status} So"] + [f"{name}: {value}" for name, value in headers]
        self.wfile.write("".join(line + "\r\n" for line in lines + [""]).encode("latin-1"))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def main():
    server = Server(("127.0.0.1", 0), Client)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("port", server.server_address[1], flush=True)
    for line in sys.stdin:
        word, _, arg = line.rstrip("\n").partition(" ")
        print(plan.command(word, arg), flush=True)


main()
