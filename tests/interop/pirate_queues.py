"""Two foreign queues, written from RFC 6 and from what docs/protocol/pirates.md says of the Guide's.

ParanoidQueue does what the Guide's ppqueue does: any message of a worker, also HEARTBEAT, makes it
ready and puts it last; workers that are ready are beaten, busy ones are not; those that were silent
for too long are forgotten, with what they had; a request waits in the frontend until a worker is
ready. SimpleQueue does what the Guide's spqueue does: any message makes the worker ready once more,
a reply that begins with 0x01 is READY, and nobody is ever forgotten.

Both are stricter than they need be: what a worker may not send goes into `violations`, and a test
asks that the list stays empty.
"""

import collections
import threading
import time

import zmq

from peers import DEADLINE

READY, HEARTBEAT = b"\x01", b"\x02"


class Queue(threading.Thread):
    """What both have: two ROUTERs on free ports, and a thread that serves until stop()."""

    def __init__(self, context, heartbeat_ms=250, liveness=3, backend="tcp://127.0.0.1:*"):
        super().__init__(daemon=True)
        self.front, self.back = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
        for socket, endpoint in (self.front, "tcp://127.0.0.1:*"), (self.back, backend):
            socket.linger = 0
            deadline = time.monotonic() + DEADLINE
            while True:         # the socket before may still be closing
                try:
                    socket.bind(endpoint)
                    break
                except zmq.ZMQError:
                    if time.monotonic() > deadline:
                        raise
        self.frontend = self.front.last_endpoint.decode()
        self.backend = self.back.last_endpoint.decode()
        self.heartbeat, self.patience = heartbeat_ms / 1000, heartbeat_ms * liveness / 1000
        self.busy = {}              # by worker: how many requests it has
        self.busy_beats = {}        # by worker: its beats since it got the last
        self.seen = set()           # workers that said anything
        self.violations = []
        self.readies = self.beats = self.replies = self.requests = self.lost = 0
        self.is_mute = False        # it beats nobody, for tests of patience
        self.changed = threading.Condition()
        self.ending = threading.Event()
        self.error = None
        self.start()

    def run(self):
        beat_at = time.monotonic() + self.heartbeat
        poller = zmq.Poller()
        try:
            while not self.ending.is_set():
                poller.register(self.back, zmq.POLLIN)
                poller.register(self.front, zmq.POLLIN if self.has_worker() else 0)
                ready = dict(poller.poll(20))
                with self.changed:
                    if self.back in ready:
                        who, *frames = self.back.recv_multipart()
                        self.on_worker(who, frames)
                    if self.front in ready and self.has_worker():
                        self.give(self.front.recv_multipart())
                    self.changed.notify_all()
                if time.monotonic() >= beat_at:
                    self.on_time(time.monotonic())
                    beat_at = time.monotonic() + self.heartbeat
        except Exception as error:          # whatever it is, stop() has to raise it
            self.error = error
        finally:
            self.front.close()
            self.back.close()

    def stop(self):
        self.ending.set()
        self.join(DEADLINE)
        if self.error:
            raise self.error

    def wait_until(self, condition):
        """Wait until condition(self) holds: it is asked after each message."""
        with self.changed:
            if not self.changed.wait_for(lambda: condition(self), DEADLINE):
                raise AssertionError("the queue did not get there in time")

    def violate(self, why, frames):
        self.violations.append((why, [frame[:64] for frame in frames]))

    def is_given(self, who, message):
        self.requests += 1
        self.busy[who] = self.busy.get(who, 0) + 1
        self.busy_beats[who] = 0
        self.send(who, message)

    def take_reply(self, who, frames):
        if not self.busy.get(who):
            self.violate("a reply of a worker that has no request", frames)
        else:
            self.busy[who] -= 1
        if b"" not in frames or frames[0] == b"":
            self.violate("a reply without an address and a delimiter", frames)
        self.replies += 1
        self.front.send_multipart(frames)

    def on_time(self, now):
        pass


class ParanoidQueue(Queue):
    """PPP, as the Guide's ppqueue."""

    def __init__(self, *arguments, **options):
        self.workers = collections.OrderedDict()    # ready, by id, when they expire
        super().__init__(*arguments, **options)

    def has_worker(self):
        return bool(self.workers)

    def send(self, who, message):
        self.back.send_multipart([who, *message])

    def give(self, message):
        who, _ = self.workers.popitem(last=False)
        self.is_given(who, message)

    def on_worker(self, who, frames):
        if who not in self.seen and frames != [READY]:
            self.violate("something else than READY comes first", frames)
        self.seen.add(who)
        self.workers.pop(who, None)
        self.workers[who] = time.monotonic() + self.patience
        if frames == [READY]:
            self.readies += 1
        elif frames == [HEARTBEAT]:
            self.beats += 1
            if self.busy.get(who):
                self.busy_beats[who] += 1
                if self.busy_beats[who] > 1:        # one may have crossed the request
                    self.violate("a HEARTBEAT that asks for more while it works", frames)
        elif len(frames) == 1:
            self.violate("no such control", frames)
        else:
            self.take_reply(who, frames)

    def on_time(self, now):
        for who, expiry in list(self.workers.items()):
            if now > expiry:
                del self.workers[who]
                self.lost += 1
            elif not self.is_mute:
                self.back.send_multipart([who, HEARTBEAT])


class SimpleQueue(Queue):
    """Simple Pirate, as the Guide's spqueue."""

    def __init__(self, *arguments, **options):
        self.workers = collections.deque()
        super().__init__(*arguments, **options)

    def has_worker(self):
        return bool(self.workers)

    def send(self, who, message):
        self.back.send_multipart([who, b"", *message])

    def give(self, message):
        self.is_given(self.workers.popleft(), message)

    def on_worker(self, who, frames):
        if not frames or frames[0] != b"":
            self.violate("no delimiter, as a REQ has", frames)
            return
        if who in self.workers:
            self.violate("ready twice", frames)
        self.workers.append(who)
        first, self.seen = who not in self.seen, self.seen | {who}
        if frames[1:] == [READY]:
            self.readies += 1
        elif len(frames) < 4:
            self.violate("neither READY nor a reply", frames)
        elif first:
            # A REQ whose connection was made anew has its answer to send, and nothing else.
            self.replies += 1
            self.front.send_multipart(frames[1:])
        else:
            self.take_reply(who, frames[1:])
