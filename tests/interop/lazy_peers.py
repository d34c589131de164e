"""Servers and queues for Lazy Pirate clients, written from docs/protocol/pirates.md.

A Server is a REP or a ROUTER in a thread, which does with each request what its script says. The
queues are those of the Guide as they are on the wire: they take exactly client, empty frame, body,
and one that gets anything else stops and says so. Every wait has a deadline.
"""

import select
import socket
import threading
import time

import zmq

DEADLINE = 20.0             # seconds
READY, HEARTBEAT = b"\x01", b"\x02"


class Thread:
    """Sockets that a thread of their own serves until close()."""

    def __init__(self):
        self.context = zmq.Context()
        self.changed = threading.Condition()
        self.requests = []      # the bodies that came, as lists of frames
        self.failure = None
        self.is_closing = False
        self.poller = zmq.Poller()
        self.sockets = []
        self.thread = threading.Thread(target=self.run, daemon=True)

    def bind(self, kind, endpoint="tcp://127.0.0.1:*"):
        socket = self.context.socket(kind)
        socket.linger = 0
        socket.bind(endpoint)
        self.sockets.append(socket)
        self.poller.register(socket, zmq.POLLIN)
        return socket

    def run(self):
        try:
            while not self.is_closing:
                for socket, _ in self.poller.poll(10):
                    self.on_message(socket, socket.recv_multipart())
                self.on_time()
        except Exception as error:      # told by close()
            self.failure = error
        for socket in self.sockets:
            socket.close(0)

    def on_time(self):
        pass

    def took(self, body):
        with self.changed:
            self.requests.append(body)
            self.changed.notify_all()

    def wait_for_requests(self, count):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.requests) >= count, DEADLINE):
                raise AssertionError(f"{len(self.requests)} requests came, not {count}")

    def close(self):
        self.is_closing = True
        self.thread.join(DEADLINE)
        self.context.destroy(0)
        if self.failure is not None:
            raise self.failure


def endpoint_of(socket):
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


class Server(Thread):
    """Calls script(self, number, body) for each request, from 1. What it returns is the reply, a
    list of frames; None: there is none. Of a ROUTER the envelope is kept for reply_to()."""

    def __init__(self, script, kind=zmq.REP, endpoint="tcp://127.0.0.1:*"):
        super().__init__()
        self.script = script
        self.kind = kind
        self.envelopes = []
        self.socket = self.bind(kind, endpoint)
        self.endpoint = endpoint_of(self.socket)
        self.thread.start()

    def on_message(self, socket, frames):
        if self.kind == zmq.ROUTER:
            at = frames.index(b"", 1)
            self.envelopes.append(frames[:at + 1])
            frames = frames[at + 1:]
        self.took(frames)
        reply = self.script(self, len(self.requests), frames)
        if reply is None:
            if self.kind == zmq.REP:
                self.restart()      # a REP that does not reply takes no other request
        elif self.kind == zmq.ROUTER:
            self.reply_to(len(self.requests), reply)
        else:
            socket.send_multipart(reply)

    def reply_to(self, number, reply):
        """Reply to that request, now or late or again."""
        self.socket.send_multipart(self.envelopes[number - 1] + reply)

    def restart(self, pause=0.0):
        """Die, and be there again at the same endpoint."""
        self.poller.unregister(self.socket)
        self.sockets.remove(self.socket)
        self.socket.close(0)
        until = time.monotonic() + DEADLINE
        time.sleep(pause)       # how long it is dead
        while True:
            try:
                self.socket = self.bind(self.kind, self.endpoint)
                return
            except zmq.ZMQError:        # the port is not free yet
                if time.monotonic() > until:
                    raise


def echo(_server, _number, body):
    return body


class Queue(Thread):
    """What the Guide's queues share: two ROUTERs, least recently used first, one request each."""

    def __init__(self):
        super().__init__()
        self.free = []
        self.waiting = []
        self.frontend = self.bind(zmq.ROUTER)
        self.backend = self.bind(zmq.ROUTER)
        self.endpoint, self.worker_endpoint = endpoint_of(self.frontend), endpoint_of(self.backend)
        self.thread.start()

    def on_message(self, socket, frames):
        if socket is self.backend:
            self.on_worker(frames[0], frames[1:])
        else:
            if frames[1] != b"" or len(frames) < 3:
                raise AssertionError(f"no request that the Guide's queue knows: {frames}")
            self.took(frames[2:])
            self.waiting.append(frames)
        while self.free and self.waiting:
            self.backend.send_multipart([self.free.pop(0)] + self.to_worker(self.waiting.pop(0)))

    def reply(self, frames):
        self.frontend.send_multipart(frames)


class SimpleQueue(Queue):
    """spqueue, and lbbroker: workers are REQ sockets that say READY once."""

    def to_worker(self, frames):
        return [b"", *frames]

    def on_worker(self, worker, frames):
        self.free.append(worker)
        if frames != [b"", READY]:
            self.reply(frames[1:])


class ParanoidQueue(Queue):
    """ppqueue: workers are DEALERs without a delimiter, READY and HEARTBEAT are single frames."""

    def to_worker(self, frames):
        return frames

    def on_worker(self, worker, frames):
        if frames != [HEARTBEAT]:
            self.free.append(worker)
        if len(frames) > 1:
            self.reply(frames)

    def on_time(self):
        for worker in self.free:
            self.backend.send_multipart([worker, HEARTBEAT])


class QueueWorker(Thread):
    """A worker of either queue that echoes. That of ppqueue takes exactly three frames."""

    def __init__(self, kind, endpoint):
        super().__init__()
        self.kind = kind
        socket = self.context.socket(kind)
        socket.linger = 0
        socket.connect(endpoint)
        socket.send(READY)
        self.sockets.append(socket)
        self.poller.register(socket, zmq.POLLIN)
        self.thread.start()

    def on_message(self, socket, frames):
        if frames == [HEARTBEAT]:
            return
        if self.kind == zmq.DEALER and len(frames) != 3:
            raise AssertionError(f"no request that the Guide's worker knows: {frames}")
        self.took(frames[2:])
        socket.send_multipart(frames)


class OldServer:
    """A server that speaks ZMTP 2.0, as libzmq 3 did. Over each connection it echoes the first
    request, and hangs up at the second."""

    GREETING = b"\xff" + bytes(7) + b"\x01\x7f" + b"\x01" + b"\x04"     # revision 1, a REP
    IDENTITY = b"\x00\x00"
    MORE, LARGE = 1, 2

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.requests = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                made, _ = self.listener.accept()
            except OSError:         # closed
                return
            with made, made.makefile("rb") as stream:
                made.sendall(self.GREETING + self.IDENTITY)
                stream.read(12)     # signature, revision, socket type
                self.frames(stream)
                if (request := self.frames(stream)) is None:
                    continue
                self.requests.append(request)
                made.sendall(b"".join(bytes([self.MORE, len(frame)]) + frame
                                      for frame in request[:-1])
                             + bytes([0, len(request[-1])]) + request[-1])
                if (request := self.frames(stream)) is not None:
                    self.requests.append(request)

    def frames(self, stream):
        """The frames of a message, or None at the end."""
        found = []
        while head := stream.read(2):
            if head[0] & self.LARGE:
                raise AssertionError("no such frame was sent")
            found.append(stream.read(head[1]))
            if not head[0] & self.MORE:
                return found
        return None

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(DEADLINE)


class Listener:
    """A plain TCP server that knows no ZMTP. It hangs up at once, or says nothing and counts how
    many connections are open at the same time."""

    def __init__(self, hangs_up):
        self.hangs_up = hangs_up
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.accepted, self.most = 0, 0
        self.is_closing = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        kept = []
        while not self.is_closing:
            if not select.select([self.listener], [], [], 0.01)[0]:
                continue
            made, _ = self.listener.accept()
            made.setblocking(False)
            self.accepted += 1
            if self.hangs_up:
                made.close()
                continue
            kept = [one for one in [*kept, made] if one is made or self.is_open(one)]
            self.most = max(self.most, len(kept))
        for one in [*kept, self.listener]:
            one.close()

    @staticmethod
    def is_open(one):
        """Read what there is; its end is seen, too."""
        try:
            while one.recv(4096):
                pass
        except BlockingIOError:
            return True
        except ConnectionError:
            pass
        one.close()
        return False

    def close(self):
        self.is_closing = True
        self.thread.join(DEADLINE)
