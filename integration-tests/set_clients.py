#!/usr/bin/env python3
"""Load that looks: connections that ask the observer about families, and members about themselves, as fast as they are answered.

    set_clients.py PORT SECONDS REQUESTS CONNECTIONS FAMILY:N...

Ends at the end of its input, after SECONDS, or after REQUESTS, whichever comes first, and prints one JSON object: `seen` counts what was
said of each family, `bad` has the first answers that nobody may get (a mixed set, a failure, a lost connection), `n_bad` how many."""
import asyncio
import json
import sys

LOOK = "com.example.sets.Observer/Look"
BAD_KEPT = 20


class Clients:
    def __init__(self, port, requests):
        self.port, self.left = port, requests
        self.over = asyncio.Event()
        self.seen, self.bad, self.n_bad, self.n = {}, [], 0, 0

    def note_bad(self, what):
        self.n_bad += 1
        if len(self.bad) < BAD_KEPT:
            self.bad.append(what)

    async def run(self, family, path, body):
        head = (f"POST /{path} HTTP/1.1\r\nhost: grayling\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\n\r\n{body}").encode()
        writer = None
        while not self.over.is_set() and self.left > 0:
            self.left -= 1
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(head)
                status, text, last = await self.read(reader)
                self.judge(family, path, status, text)
                if last:
                    writer.close()
                    writer = None
            except (OSError, asyncio.IncompleteReadError, ValueError) as e:
                self.note_bad(f"{path}: lost: {e!r}")
                if writer is not None:
                    writer.close()
                writer = None
        if writer is not None:
            writer.close()
        if self.left <= 0:
            self.over.set()

    async def read(self, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields["content-length"]))
        return int(head.split(" ", 2)[1]), body.decode(), fields.get("connection") == "close"

    def judge(self, family, path, status, body):
        self.n += 1
        if status != 200:
            self.note_bad(f"{path}: {status} {body}")
        else:
            of = self.seen.setdefault(family, {})
            of[body] = of.get(body, 0) + 1


async def main(port, seconds, requests, connections, *families):
    clients = Clients(int(port), int(requests))
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, clients.over.set)
    loop.call_later(float(seconds), clients.over.set)
    work = []
    for family in families:
        name, n = family.split(":")
        for i in range(int(connections)):
            work.append(clients.run(name, LOOK, json.dumps({"family": name, "n": int(n)})))
        work += [clients.run(name, f"com.example.sets.{name}{i}/Tell", "{}") for i in range(int(n))]
    await asyncio.gather(*work)
    print(json.dumps({"seen": clients.seen, "requests": clients.n, "n_bad": clients.n_bad, "bad": clients.bad}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
