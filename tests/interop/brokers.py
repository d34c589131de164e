"""Two foreign brokers, written from RFC 7, RFC 8 and RFC 18, for our worker and client to meet.

Broker01 does what the Guide's brokers do: it speaks MDP/0.1 alone, takes the frame after the
routing id for the delimiter, gives one request at a time to the worker that waited longest, beats
idle workers, and answers strangers by DISCONNECT. With MMI it says 501 to names it does not know;
without, a request for such a name is queued like any other and never answered. Broker02 is the
same for MDP/0.2 and has no MMI, as RFC 18 names none.

Both are stricter than they need be: what a peer may not send goes into `violations`, and a test
asks that the list stays empty.
"""

import collections
import dataclasses
import threading
import time

import zmq

from peers import CLIENT_01, CLIENT_02, DEADLINE, WORKER_01, WORKER_02


@dataclasses.dataclass
class WorkerRecord:
    service: bytes
    expiry: float
    client: bytes = None        # the address it was given; None: it waits


class Broker(threading.Thread):
    """What both have: one ROUTER on a free port, queues, and a thread that serves until stop()."""

    def __init__(self, context, heartbeat_ms=250, patience=5.0):
        super().__init__(daemon=True)
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind("tcp://127.0.0.1:*")
        self.endpoint = self.socket.last_endpoint.decode()
        self.heartbeat, self.patience = heartbeat_ms / 1000, patience
        self.workers = {}                                       # by routing id
        self.waiting = collections.defaultdict(list)            # by service: worker ids
        self.queues = collections.defaultdict(collections.deque)
        self.violations = []
        self.ready = self.beats = self.farewells = self.replies = 0
        self.changed = threading.Condition()
        self.ending = threading.Event()
        self.error = None
        self.start()

    def run(self):
        beat_at = time.monotonic() + self.heartbeat
        try:
            while not self.ending.is_set():
                if self.socket.poll(20):
                    with self.changed:
                        self.handle(self.socket.recv_multipart())
                        self.changed.notify_all()
                now = time.monotonic()
                if now >= beat_at:
                    self.beat_and_purge(now)
                    beat_at = now + self.heartbeat
        except Exception as error:          # whatever it is, stop() has to raise it
            self.error = error
        finally:
            self.socket.close()

    def stop(self):
        self.ending.set()
        self.join(DEADLINE)
        if self.error:
            raise self.error

    def wait_until(self, condition):
        """Wait until condition(self) holds: it is asked after each message."""
        with self.changed:
            if not self.changed.wait_for(lambda: condition(self), DEADLINE):
                raise AssertionError("the broker did not get there in time")

    def violate(self, why, frames):
        self.violations.append((why, [frame[:64] for frame in frames]))

    def on_ready(self, who, service, frames):
        if who in self.workers or service.startswith(b"mmi."):
            self.violate("READY that is not allowed", frames)
            self.dismiss(who)
            return
        self.ready += 1
        self.workers[who] = WorkerRecord(service, time.monotonic() + self.patience)
        self.release(who)

    def on_request(self, service, request):
        self.queues[service].append(request)
        self.dispatch(service)

    def release(self, who):
        worker = self.workers[who]
        worker.client = None
        self.waiting[worker.service].append(who)
        self.dispatch(worker.service)

    def dispatch(self, service):
        while self.queues[service] and self.waiting[service]:
            who = self.waiting[service].pop(0)
            client, body = self.queues[service].popleft()
            self.workers[who].client = client
            self.to_worker(who, client, body)

    def dismiss(self, who):
        self.say_goodbye(who)
        self.forget(who)

    def forget(self, who):
        worker = self.workers.pop(who, None)
        if worker and who in self.waiting[worker.service]:
            self.waiting[worker.service].remove(who)

    def beat_and_purge(self, now):
        for who, worker in list(self.workers.items()):
            if worker.client is None and now > worker.expiry:
                self.dismiss(who)
            elif worker.client is None:
                self.say_beat(who)

    def has_worker(self, service):
        return any(worker.service == service for worker in self.workers.values())

    def alive(self, who):
        self.workers[who].expiry = time.monotonic() + self.patience


class Broker01(Broker):
    """RFC 7 and, with mmi=True, RFC 8."""

    def __init__(self, context, mmi=True, **options):
        self.mmi = mmi
        super().__init__(context, **options)

    def handle(self, frames):
        who, rest = frames[0], frames[1:]
        if rest[:2] == [b"", CLIENT_01] and len(rest) > 3:
            self.on_client(who, rest[2], rest[3:])
        elif rest[:2] == [b"", WORKER_01] and len(rest) > 2:
            self.on_worker(who, rest[2], rest[3:], frames)
        else:
            self.violate("no message of MDP/0.1", frames)

    def on_client(self, who, service, body):
        if not (self.mmi and service.startswith(b"mmi.")):
            self.on_request(service, (who, body))
        elif service == b"mmi.service":
            self.to_client(who, service, [b"200" if self.has_worker(body[-1]) else b"404"])
        else:
            self.to_client(who, service, [b"501"])

    def on_worker(self, who, command, rest, frames):
        known = self.workers.get(who)
        if command == b"\x01" and len(rest) == 1:
            self.on_ready(who, rest[0], frames)
        elif command == b"\x03" and len(rest) > 2 and rest[1] == b"":
            if not known or known.client is None:
                self.violate("REPLY that nobody waits for", frames)
                self.dismiss(who)
                return
            if rest[0] != known.client:
                self.violate("REPLY to another address than was given", frames)
            self.replies += 1
            self.alive(who)
            self.to_client(rest[0], known.service, rest[2:])
            self.release(who)
        elif command == b"\x04" and not rest:
            self.beats += 1
            if known:
                self.alive(who)
            else:
                self.say_goodbye(who)
        elif command == b"\x05" and not rest:
            self.farewells += 1
            self.forget(who)
        else:
            self.violate("no worker command of MDP/0.1", frames)

    def to_client(self, who, service, body):
        self.socket.send_multipart([who, b"", CLIENT_01, service, *body])

    def to_worker(self, who, client, body):
        self.socket.send_multipart([who, b"", WORKER_01, b"\x02", client, b"", *body])

    def say_beat(self, who):
        self.socket.send_multipart([who, b"", WORKER_01, b"\x04"])

    def say_goodbye(self, who):
        self.socket.send_multipart([who, b"", WORKER_01, b"\x05"])


class Broker02(Broker):
    """RFC 18: no empty frame in front, PARTIAL and FINAL renumbered towards the client."""

    def handle(self, frames):
        who, rest = frames[0], frames[1:]
        if rest[:2] == [CLIENT_02, b"\x01"] and len(rest) > 3:
            self.on_request(rest[2], (who, rest[3:]))
        elif rest[:1] == [WORKER_02] and len(rest) > 1:
            self.on_worker(who, rest[1], rest[2:], frames)
        else:
            self.violate("no message of MDP/0.2", frames)

    def on_worker(self, who, command, rest, frames):
        known = self.workers.get(who)
        if command == b"\x01" and len(rest) == 1:
            self.on_ready(who, rest[0], frames)
        elif command in (b"\x03", b"\x04") and len(rest) > 2 and rest[1] == b"":
            if not known or known.client is None:
                self.violate("an answer that nobody waits for", frames)
                self.dismiss(who)
                return
            if rest[0] != known.client:
                self.violate("an answer to another address than was given", frames)
            self.replies += command == b"\x04"
            self.alive(who)
            renumbered = b"\x02" if command == b"\x03" else b"\x03"
            self.socket.send_multipart([rest[0], CLIENT_02, renumbered, known.service, *rest[2:]])
            if command == b"\x04":
                self.release(who)
        elif command == b"\x05" and not rest:
            self.beats += 1
            if known:
                self.alive(who)
            else:
                self.say_goodbye(who)
        elif command == b"\x06" and not rest:
            self.farewells += 1
            self.forget(who)
        else:
            self.violate("no worker command of MDP/0.2", frames)

    def to_worker(self, who, client, body):
        self.socket.send_multipart([who, WORKER_02, b"\x02", client, b"", *body])

    def say_beat(self, who):
        self.socket.send_multipart([who, WORKER_02, b"\x05"])

    def say_goodbye(self, who):
        self.socket.send_multipart([who, WORKER_02, b"\x06"])
