"""Makes calls with C-core over xDS, as the lines of stdin say.

Its protocol is that of all drivers, see the package xds that has this folder.
"""

import json
import os
import sys
import threading

import grpc

METHOD = "/meshhealth.test.Namer/Name"
PATIENCE = 60  # deadline of a call in seconds


class Counts:
    def __init__(self):
        self.mu = threading.Lock()
        self.backends, self.errors = {}, {}

    def add(self, counts, key):
        with self.mu:
            counts = getattr(self, counts)
            counts[key] = counts.get(key, 0) + 1

    def take(self, seq):
        with self.mu:
            all = {"seq": seq, "backends": self.backends, "errors": self.errors}
            self.backends, self.errors = {}, {}
            return all


class Channel:
    def __init__(self, c):
        if c.get("secure"):
            creds = grpc.xds_channel_credentials(grpc.experimental.insecure_channel_credentials())
            self.channel = grpc.secure_channel(c["target"], creds)
        else:
            self.channel = grpc.insecure_channel(c["target"])
        # The reply is a google.protobuf.StringValue with less than 128 bytes: a tag, a length
        # and the text.
        self.name = self.channel.unary_unary(
            METHOD, request_serializer=lambda _: b"", response_deserializer=lambda b: b[2:].decode())
        self.load = Counts()
        self.stopped = False
        self.running = []

    def call(self, counts):
        try:
            counts.add("backends", self.name(None, timeout=PATIENCE))
        except grpc.RpcError as e:
            counts.add("errors", f"{e.code().name}: {e.details()}")

    def calls(self, c):
        made, mu, left = Counts(), threading.Lock(), [c["count"]]

        def worker():
            while True:
                with mu:
                    if left[0] == 0:
                        return
                    left[0] -= 1
                self.call(made)

        for t in [spawn(worker) for _ in range(c["inflight"])]:
            t.join()
        return made.take(c["seq"])

    def keep_calling(self):
        while not self.stopped:
            self.call(self.load)

    def execute(self, c):
        if c["do"] == "calls":
            return self.calls(c)
        if c["do"] == "start":
            self.running = [spawn(self.keep_calling) for _ in range(c["inflight"])]
            return {"seq": c["seq"]}
        if c["do"] == "stop":
            self.stopped = True
            for t in self.running:
                t.join()
        return self.load.take(c["seq"])


def spawn(f):
    t = threading.Thread(target=f, daemon=True)
    t.start()
    return t


def main():
    channels, writing = {}, threading.Lock()

    def execute(c):
        text = json.dumps(channels[c["target"]].execute(c)) + "\n"
        with writing:
            sys.stdout.write(text)
            sys.stdout.flush()

    for line in sys.stdin:
        c = json.loads(line)
        if c["target"] not in channels:
            channels[c["target"]] = Channel(c)
        spawn(lambda c=c: execute(c))
    os._exit(0)  # threads may still wait for calls


main()
