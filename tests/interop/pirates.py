"""Pirate peers of our own, written from RFC 6 and docs/protocol/pirates.md and not from our C.

They behave as the Guide's do: a simple worker is a REQ; a paranoid one is a DEALER that beats,
takes a silent queue for dead, and begins anew on another socket. They are strict: a message that
is not byte for byte what the protocol allows raises Malformed.
"""

import dataclasses
import threading
import time

import zmq

from peers import DEADLINE, Link, Silence, check

READY, HEARTBEAT = b"\x01", b"\x02"


@dataclasses.dataclass
class Job:
    """What a worker was given: the stack has to be given back as it is."""

    stack: list
    body: list


def job_of(frames):
    check(b"" in frames and frames[0], frames)
    at = frames.index(b"")
    check(len(frames) > at + 1, frames)
    return Job(frames[:at], frames[at + 1:])


class PirateClient:
    """A REQ, or any socket that sends what a REQ does."""

    def __init__(self, context, endpoint, kind=zmq.REQ, **options):
        self.link = Link(context, kind, endpoint, **options)
        self.front = [b""] if kind == zmq.DEALER else []

    def send(self, *body):
        self.link.send(self.front + list(body))

    def receive(self, timeout=DEADLINE):
        frames = self.link.receive(timeout)
        check(frames[:len(self.front)] == self.front, frames)
        return frames[len(self.front):]

    def call(self, *body, timeout=DEADLINE):
        self.send(*body)
        return self.receive(timeout)

    def close(self):
        self.link.close(0)


class SimpleWorker:
    """A REQ socket: READY, then a request for each reply. By hand."""

    def __init__(self, context, endpoint, **options):
        self.link = Link(context, zmq.REQ, endpoint, **options)
        self.link.send([READY])

    def take(self, timeout=DEADLINE):
        return job_of(self.link.receive(timeout))

    def reply(self, job, *body):
        self.link.send([*job.stack, b"", *body])

    def vanish(self):
        self.link.close(0)


class ParanoidWorker:
    """A DEALER that says READY once, and beats only when told to. By hand."""

    def __init__(self, context, endpoint, ready=True, **options):
        self.link = Link(context, zmq.DEALER, endpoint, **options)
        self.beats = 0                      # heard
        if ready:
            self.link.send([READY])

    def beat(self):
        self.link.send([HEARTBEAT])

    def take(self, timeout=DEADLINE):
        """The next request; HEARTBEATs in between are counted."""
        deadline = time.monotonic() + timeout
        while True:
            frames = self.link.receive(max(0, deadline - time.monotonic()))
            if len(frames) > 1:
                return job_of(frames)
            check(frames == [HEARTBEAT], frames)
            self.beats += 1

    def reply(self, job, *body):
        self.link.send([*job.stack, b"", *body])

    def vanish(self):
        self.link.close(0)


class PirateThread(threading.Thread):
    """Runs a worker until stop(). What it raises is raised again there."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ending, self.error, self.served = threading.Event(), None, 0
        self.start()

    def run(self):
        try:
            self.work()
        except Exception as error:          # whatever it is, stop() has to raise it
            self.error = error

    def stop(self):
        self.ending.set()
        self.join(DEADLINE)
        if self.error:
            raise self.error


class SimpleServing(PirateThread):
    """The Guide's spworker."""

    def __init__(self, context, endpoint, handler=list):
        self.make = lambda: SimpleWorker(context, endpoint)
        self.handler = handler
        super().__init__()

    def work(self):
        worker = self.make()
        while not self.ending.is_set():
            try:
                job = worker.take(0.02)
            except Silence:
                continue
            worker.reply(job, *self.handler(job.body))
            self.served += 1
        worker.vanish()


class ParanoidServing(PirateThread):
    """The Guide's ppworker: it cannot beat while it works; back-off doubles up to 32 intervals."""

    LIVENESS = 3

    def __init__(self, context, endpoint, handler=list, interval=1.0):
        self.make = lambda: ParanoidWorker(context, endpoint)
        self.handler, self.interval = handler, interval
        self.born = 0                       # sockets made
        super().__init__()

    def work(self):
        pause = self.interval
        while not self.ending.is_set():
            self.born += 1
            if self.live():
                pause = self.interval
            self.ending.wait(pause)
            pause = min(pause * 2, self.interval * 32)

    def live(self):
        """Serve on one socket until its queue is silent; whether anything was heard at all."""
        worker = self.make()
        heard = spoke = time.monotonic()
        was_heard = False
        while not self.ending.is_set():
            if worker.link.socket.poll(round(self.interval * 100)):
                heard, was_heard = time.monotonic(), True
                frames = worker.link.receive(0)
                if len(frames) > 1:
                    job = job_of(frames)
                    worker.reply(job, *self.handler(job.body))
                    self.served += 1
                    heard = time.monotonic()
                else:
                    check(frames == [HEARTBEAT], frames)
            if time.monotonic() - heard > self.interval * self.LIVENESS:
                break
            if time.monotonic() - spoke > self.interval:
                worker.beat()
                spoke = time.monotonic()
        worker.vanish()
        return was_heard
