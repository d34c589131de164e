"""Majordomo peers of our own, written from the specifications and not from our C.

MDP/0.1 from RFC 7, MDP/0.2 from RFC 18, MDP/G1 from docs/protocol/mdp-g1.md. They share no line
with the programs they test, so that a misreading on one side shows. They are strict: a message
that is not byte for byte what the specification allows raises Malformed.

Clients have send, receive and call; an answer is an Answer in every dialect. Workers have take,
partial and final; Serving runs one in a thread. Every wait has a deadline and ends in Silence.
A peer belongs to the thread that uses it.
"""

import dataclasses
import itertools
import struct
import threading
import time
from collections import deque

import zmq

DEADLINE = 20.0             # seconds; generous, because a test waits for events and not for time

CLIENT_01, WORKER_01 = b"MDPC01", b"MDPW01"
CLIENT_02, WORKER_02 = b"MDPC02", b"MDPW02"
CLIENT_G1, WORKER_G1 = b"MDPCG1", b"MDPWG1"


class Silence(Exception):
    """Nothing came within the time given."""


class Malformed(Exception):
    """The other side sent what its dialect does not allow."""


@dataclasses.dataclass
class Answer:
    """What a client got for one request."""

    body: list              # the frames of REPLY or FINAL
    partials: list = dataclasses.field(default_factory=list)    # one list of frames for each
    status: int = 200       # 0.1 and 0.2 know no other


@dataclasses.dataclass
class Request:
    """What a worker was given; address is the ticket in the form of its dialect."""

    address: bytes
    body: list
    ttl: int = 0            # this and the rest: G1 only
    attempt: int = 0
    flags: int = 0
    fields: bytes = b""


@dataclasses.dataclass
class Reply:
    """What a handler run by Serving returns."""

    body: list
    partials: list = dataclasses.field(default_factory=list)
    status: int = 200


def check(condition, frames):
    if not condition:
        raise Malformed([frame[:64] for frame in frames])


class Link:
    """A connected socket with deadlines, and nothing queued without bound of our own making.

    RCVHWM is 0 because a full receive queue would keep libzmq from answering PINGs.
    """

    def __init__(self, context, kind, endpoint, **options):
        self.socket = context.socket(kind)
        self.socket.linger = 1000
        self.socket.rcvhwm = 0
        self.socket.sndhwm = 0
        for name, value in options.items():
            self.socket.setsockopt(getattr(zmq, name), value)
        self.socket.connect(endpoint)

    def send(self, frames):
        self.socket.send_multipart(frames)

    def receive(self, timeout=DEADLINE):
        deadline = time.monotonic() + timeout
        while self.socket.poll(max(0, round((deadline - time.monotonic()) * 1000))):
            try:
                return self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:           # a REQ had only what it drops
                continue
        raise Silence(f"nothing within {timeout} s")

    def close(self, linger=None):
        self.socket.close(linger)


# ---- MDP/G1: packs and records ------------------------------------------------------------------

FIELDS, NO_QUEUE, REDELIVERY, LOOSE = 0x01, 0x02, 0x04, 0x80
PACK_MAX = 65536            # a sender closes its pack before this
LOOSE_ABOVE = 8192          # bodies above this travel in frames of their own


@dataclasses.dataclass
class Record:
    """One record of a pack; what its command does not have stays at its default."""

    command: str
    id: int = 0
    ttl: int = 0
    seq: int = 0
    status: int = 0
    parts: int = 0
    interval: int = 0
    credit: int = 0
    ticket: bytes = b""
    attempt: int = 0
    reason: int = 0
    flags: int = 0
    service: bytes = b""
    fields: bytes = b""
    body: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a command is laid out after the eight bytes that all records begin with."""

    number: int
    fixed: struct.Struct
    values: tuple
    has_service: bool = False
    has_fields: bool = False
    has_body: bool = False


def layout(number, form, values, *more):
    return Layout(number, struct.Struct("!" + form), tuple(values.split()),
                  "service" in more, "fields" in more, "body" in more)


LAYOUTS = {
    CLIENT_G1: {
        "request": layout(1, "QI", "id ttl", "service", "fields", "body"),
        "partial": layout(2, "QI", "id seq", "body"),
        "final": layout(3, "QHH", "id status parts", "fields", "body"),
        "cancel": layout(4, "Q", "id"),
        "heartbeat": layout(5, "I", "interval"),
    },
    WORKER_G1: {
        "ready": layout(1, "II", "credit interval", "service", "fields"),
        "request": layout(2, "16sII", "ticket ttl attempt", "fields", "body"),
        "partial": layout(3, "16sI", "ticket seq", "body"),
        "final": layout(4, "16sHH", "ticket status parts", "fields", "body"),
        "heartbeat": layout(5, "I", "interval"),
        "disconnect": layout(6, "I", "reason"),
        "drain": layout(7, "", ""),
    },
}

PACK_HEAD = struct.Struct("!6sBB")
RECORD_HEAD = struct.Struct("!IBBBB")
NUMBER_16, NUMBER_32 = struct.Struct("!H"), struct.Struct("!I")


def encode_record(side, record):
    """Return the bytes of the record and the frames that follow its pack (LOOSE)."""
    form = LAYOUTS[side][record.command]
    flags = record.flags | (FIELDS if record.fields else 0)
    data = form.fixed.pack(*(getattr(record, name) for name in form.values))
    if form.has_service:
        data += record.service
    if form.has_fields and record.fields:
        data += NUMBER_16.pack(len(record.fields)) + record.fields
    loose = []
    if form.has_body and flags & LOOSE:
        loose = list(record.body)
    elif form.has_body:
        data += b"".join(NUMBER_32.pack(len(part)) + part for part in record.body)
    size = RECORD_HEAD.size + len(data)
    return RECORD_HEAD.pack(size, form.number, flags, len(record.service), 0) + data, loose


def encode_pack(side, records):
    """Return the frames of exactly one message that holds all records."""
    frames = [PACK_HEAD.pack(side, 1, 0)]
    for record in records:
        if len(frames) > 1 or (record is not records[-1] and record.flags & LOOSE):
            raise ValueError("only the last record of a pack may be LOOSE")
        data, loose = encode_record(side, record)
        frames[0] += data
        frames += loose
    return frames


def packs(side, records):
    """Return the messages a sender makes of its records: 64 KiB each, a LOOSE one ends its pack."""
    messages, current, size = [], [], PACK_HEAD.size
    for record in records:
        if sum(map(len, record.body)) > LOOSE_ABOVE:
            record.flags |= LOOSE
        length = len(encode_record(side, record)[0])
        if current and size + length > PACK_MAX:
            messages.append(encode_pack(side, current))
            current, size = [], PACK_HEAD.size
        current.append(record)
        size += length
        if record.flags & LOOSE:
            messages.append(encode_pack(side, current))
            current, size = [], PACK_HEAD.size
    if current:
        messages.append(encode_pack(side, current))
    return messages


def decode_pack(frames):
    """Return the side and the records of a message. Anything that does not fit is Malformed."""
    pack, loose = frames[0], frames[1:]
    check(len(pack) > PACK_HEAD.size, frames)
    side, version, _ = PACK_HEAD.unpack_from(pack)
    check(side in LAYOUTS and version == 1, frames)
    commands = {form.number: (name, form) for name, form in LAYOUTS[side].items()}
    records, at = [], PACK_HEAD.size
    while at < len(pack):
        check(len(pack) - at >= RECORD_HEAD.size, frames)
        size, number, flags, name_length, _ = RECORD_HEAD.unpack_from(pack, at)
        check(RECORD_HEAD.size <= size <= len(pack) - at, frames)
        end = at + size
        check(end == len(pack) or not flags & LOOSE, frames)
        check(end < len(pack) or flags & LOOSE or not loose, frames)
        check(number in commands, frames)
        name, form = commands[number]
        records.append(decode_record(name, form, flags, name_length,
                                     pack[at + RECORD_HEAD.size:end], loose))
        at = end
    return side, records


def decode_record(name, form, flags, name_length, data, loose):
    record = Record(name, flags=flags)
    check(len(data) >= form.fixed.size, [data])
    for key, value in zip(form.values, form.fixed.unpack_from(data)):
        setattr(record, key, value)
    at = form.fixed.size
    if form.has_service:
        check(0 < name_length <= len(data) - at, [data])
        record.service = data[at:at + name_length]
        at += name_length
    if form.has_fields and flags & FIELDS:
        check(len(data) - at >= 2, [data])
        length, = NUMBER_16.unpack_from(data, at)
        at += 2
        check(length <= min(4096, len(data) - at), [data])
        record.fields = data[at:at + length]
        at += length
    if form.has_body and flags & LOOSE:
        check(at == len(data), [data])
        record.body = list(loose)
    elif form.has_body:
        while at < len(data):
            check(len(data) - at >= 4, [data])
            length, = NUMBER_32.unpack_from(data, at)
            at += 4
            check(length <= len(data) - at, [data])
            record.body.append(data[at:at + length])
            at += length
    return record


def ticket_text(ticket):
    """Return the 24 characters that name the ticket in 0.1 and 0.2."""
    digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    text = b""
    for word in struct.unpack("!4I", ticket):
        text += bytes(digits[word // 62 ** place % 62] for place in range(5, -1, -1))
    return text


# ---- Clients ------------------------------------------------------------------------------------

CORRELATE = {"REQ_CORRELATE": 1, "REQ_RELAXED": 1}


class Client:
    """What every client has: one socket, and call made of send and receive.

    A REQ socket adds and takes the delimiter itself; a DEALER does it here where its dialect, or
    the test, wants one.
    """

    streams = False             # whether PARTIALs reach it one by one, or gathered into the answer

    def __init__(self, context, endpoint, kind=zmq.DEALER, delimiter=False, **options):
        self.link = Link(context, kind, endpoint, **options)
        self.front = [b""] if delimiter and kind == zmq.DEALER else []
        self.delimited = delimiter or kind == zmq.REQ

    def put(self, frames):
        self.link.send(self.front + frames)

    def get(self, timeout):
        frames = self.link.receive(timeout)
        front, rest = frames[:len(self.front)], frames[len(self.front):]
        check(front == self.front and rest, frames)
        return rest

    def call(self, service, body, timeout=DEADLINE):
        self.send(service, body)
        return self.receive(service, timeout)

    def close(self):
        self.link.close(0)


class Client01(Client):
    """7/MDP client: [""][MDPC01][service][body]+ both ways; the empty frame is the socket's."""

    def send(self, service, body):
        self.put([CLIENT_01, service, *body])

    def receive(self, service, timeout=DEADLINE):
        frames = self.get(timeout)
        check(frames[:2] == [CLIENT_01, service] and len(frames) > 2, frames)
        return Answer(frames[2:])


class Client02(Client):
    """18/MDP client: REQUEST 0x01, any number of PARTIAL 0x02, then one FINAL 0x03."""

    @property
    def streams(self):
        return not self.delimited

    def send(self, service, body):
        self.put([CLIENT_02, b"\x01", service, *body])

    def receive(self, service, timeout=DEADLINE):
        answer = Answer([])
        while True:
            frames = self.get(timeout)
            check(frames[0] == CLIENT_02 and frames[2:3] == [service] and len(frames) > 3, frames)
            if frames[1] == b"\x03":
                answer.body = frames[3:]
                return answer
            check(frames[1] == b"\x02", frames)
            answer.partials.append(frames[3:])


class ClientG1(Client):
    """MDP/G1 client. request() gathers, flush() writes packs, answer(id) waits for one FINAL.

    With a delimiter, or as a REQ, it puts one record into each message as the page asks.
    """

    def __init__(self, context, endpoint, kind=zmq.DEALER, delimiter=False, **options):
        super().__init__(context, endpoint, kind, delimiter, **options)
        self.ids = itertools.count(1)
        self.outbox, self.inbox = [], deque()
        self.answers = {}           # by id: Answer, with body None until FINAL
        self.last = None

    @property
    def streams(self):
        return not self.delimited

    def add(self, record):
        self.outbox.append(record)

    def request(self, service, body, **more):
        """Gather a REQUEST and return its id."""
        record = Record("request", id=next(self.ids), service=service, body=list(body))
        record = dataclasses.replace(record, **more)
        self.answers[record.id] = Answer(None)
        self.add(record)
        return record.id

    def flush(self):
        records, self.outbox = self.outbox, []
        groups = [[record] for record in records] if self.delimited else [records]
        for group in groups:
            for frames in packs(CLIENT_G1, group):
                self.put(frames)

    def next_record(self, timeout=DEADLINE):
        """Return the next record as it came, whatever it is."""
        self.flush()
        while not self.inbox:
            frames = self.get(timeout)
            side, records = decode_pack(frames)
            check(side == CLIENT_G1, frames)
            check(len(records) == 1 or not self.delimited, frames)
            self.inbox.extend(records)
        return self.inbox.popleft()

    def answer(self, request_id, timeout=DEADLINE):
        """Wait for the FINAL of this id; answers to other ids are kept for their turn."""
        answer = self.answers[request_id]
        while answer.body is None:
            self.accept(self.next_record(timeout))
        return self.answers.pop(request_id)

    def accept(self, record):
        if record.command == "heartbeat":
            return
        check(record.command in ("partial", "final"), [repr(record).encode()])
        answer = self.answers.get(record.id)
        if answer is None or answer.body is not None:
            raise Malformed(f"{record.command} for id {record.id}, which is not open")
        if record.command == "partial":
            if record.seq == 0:
                answer.partials = []
            check(record.seq == len(answer.partials), [repr(record).encode()])
            answer.partials.append(record.body)
        else:
            if record.status == 200 and record.parts != len(answer.partials) % 65536:
                raise Malformed(f"FINAL says {record.parts} parts, {len(answer.partials)} came")
            answer.body, answer.status = record.body, record.status

    def send(self, service, body):
        self.last = self.request(service, body)
        self.flush()

    def receive(self, service, timeout=DEADLINE):
        del service                 # the id says whose answer it is
        return self.answer(self.last, timeout)


# ---- Workers ------------------------------------------------------------------------------------

class Worker:
    """What every worker does: READY first, a beat while it waits, a new socket on DISCONNECT.

    A subclass says how its dialect spells things: hello(), beat(), bye() send, and
    understand(frames) returns what came: a list of Requests.
    """

    credit = 1
    can_partial = True

    def __init__(self, context, endpoint, service, heartbeat_ms=250, patience=5.0,
                 delimiter=False):
        self.context, self.endpoint, self.service = context, endpoint, service
        self.heartbeat, self.patience = heartbeat_ms / 1000, patience
        self.front = [b""] if delimiter else []
        self.beats = self.disconnects = 0
        self.reason = None          # of the last DISCONNECT, where the dialect has one
        self.link = None
        self.connect()

    def connect(self):
        if self.link:
            self.link.close(0)
        self.link = Link(self.context, zmq.DEALER, self.endpoint)
        self.inbox, self.outbox = deque(), []
        self.open = {}              # requests taken and not answered, by address
        self.heard = time.monotonic()
        self.hello()
        self.flush()

    def put(self, frames):
        self.link.send(self.front + frames)
        self.beat_at = time.monotonic() + self.heartbeat

    def flush(self):
        """Write what was gathered; only G1 gathers."""

    def take(self, timeout=DEADLINE):
        """Return the next request."""
        deadline = time.monotonic() + timeout
        while not self.inbox:
            self.flush()
            now = time.monotonic()
            if now >= self.beat_at:
                self.beat()
                self.flush()
            wait = max(0, min(deadline, self.beat_at, self.heard + self.patience) - now)
            try:
                frames = self.link.receive(wait)
            except Silence:
                now = time.monotonic()
                if now >= self.heard + self.patience:
                    self.connect()
                if now >= deadline:
                    raise
                continue
            self.heard = time.monotonic()
            front, rest = frames[:len(self.front)], frames[len(self.front):]
            check(front == self.front and rest, frames)
            for request in self.understand(rest):
                self.open[request.address] = request
                check(len(self.open) <= self.credit, frames)
                self.inbox.append(request)
        return self.inbox.popleft()

    def disconnected(self, reason=None):
        self.disconnects += 1
        self.reason = reason
        time.sleep(0.02)            # back-off, so that a broker that refuses us is not flooded
        self.connect()

    def leave(self):
        """End in order: DISCONNECT, and time for it to go out."""
        self.bye()
        self.flush()
        self.link.close(1000)

    def vanish(self):
        """End as a crash does: without a word."""
        self.link.close(0)


class Worker01(Worker):
    """7/MDP worker: 01 READY, 02 REQUEST, 03 REPLY, 04 HEARTBEAT, 05 DISCONNECT."""

    can_partial = False

    def __init__(self, context, endpoint, service, **options):
        super().__init__(context, endpoint, service, **{**options, "delimiter": True})

    def hello(self):
        self.put([WORKER_01, b"\x01", self.service])

    def beat(self):
        self.put([WORKER_01, b"\x04"])

    def bye(self):
        self.put([WORKER_01, b"\x05"])

    def understand(self, frames):
        check(frames[0] == WORKER_01, frames)
        if frames[1:] == [b"\x04"]:
            self.beats += 1
        elif frames[1:] == [b"\x05"]:
            self.disconnected()
        else:
            check(frames[1] == b"\x02" and len(frames) > 4 and frames[3] == b"", frames)
            return [Request(frames[2], frames[4:])]
        return []

    def final(self, request, body):
        self.open.pop(request.address, None)
        self.put([WORKER_01, b"\x03", request.address, b"", *(body or [b""])])


class Worker02(Worker):
    """18/MDP worker: 03 PARTIAL, 04 FINAL, 05 HEARTBEAT, 06 DISCONNECT."""

    def hello(self):
        self.put([WORKER_02, b"\x01", self.service])

    def beat(self):
        self.put([WORKER_02, b"\x05"])

    def bye(self):
        self.put([WORKER_02, b"\x06"])

    def understand(self, frames):
        check(frames[0] == WORKER_02, frames)
        if frames[1:] == [b"\x05"]:
            self.beats += 1
        elif frames[1:] == [b"\x06"]:
            self.disconnected()
        else:
            check(frames[1] == b"\x02" and len(frames) > 4 and frames[3] == b"", frames)
            return [Request(frames[2], frames[4:])]
        return []

    def partial(self, request, body):
        self.put([WORKER_02, b"\x03", request.address, b"", *(body or [b""])])

    def final(self, request, body):
        self.open.pop(request.address, None)
        self.put([WORKER_02, b"\x04", request.address, b"", *(body or [b""])])


class WorkerG1(Worker):
    """MDP/G1 worker: a credit, packs both ways, a status with each FINAL.

    What it answers is gathered and written before it waits for the next request.
    """

    def __init__(self, context, endpoint, service, credit=1, fields=b"", **options):
        self.credit, self.fields = credit, fields
        self.broker_interval = None     # from the broker's HEARTBEAT; None: READY not answered
        self.draining = False
        super().__init__(context, endpoint, service, **options)

    def add(self, record):
        self.outbox.append(record)

    def flush(self):
        records, self.outbox = self.outbox, []
        for frames in packs(WORKER_G1, records):
            self.put(frames)

    def hello(self):
        self.broker_interval, self.draining, self.sent_parts = None, False, {}
        self.add(Record("ready", credit=self.credit, interval=round(self.heartbeat * 1000),
                        service=self.service, fields=self.fields))

    def beat(self):
        self.add(Record("heartbeat", interval=round(self.heartbeat * 1000)))

    def bye(self):
        self.add(Record("disconnect", reason=0))

    def understand(self, frames):
        side, records = decode_pack(frames)
        check(side == WORKER_G1, frames)
        requests = []
        for record in records:
            if record.command == "heartbeat":
                self.beats += 1
                self.broker_interval = record.interval
            elif record.command == "disconnect":
                self.disconnected(record.reason)
                return []               # a new socket: nothing that came before is ours
            elif record.command == "drain":
                self.draining = True
            else:
                check(record.command == "request" and record.attempt > 0, frames)
                check(bool(record.flags & REDELIVERY) == (record.attempt > 1), frames)
                check(self.broker_interval is not None and not self.draining, frames)
                requests.append(Request(record.ticket, record.body, record.ttl, record.attempt,
                                        record.flags, record.fields))
        return requests

    def partial(self, request, body):
        seq = self.sent_parts.get(request.address, 0)
        self.sent_parts[request.address] = seq + 1
        self.add(Record("partial", ticket=request.address, seq=seq, body=list(body)))

    def final(self, request, body, status=200):
        self.open.pop(request.address, None)
        parts = self.sent_parts.pop(request.address, 0)
        self.add(Record("final", ticket=request.address, status=status, parts=parts % 65536,
                        body=list(body)))


class Serving(threading.Thread):
    """Runs a worker until stop(): handler(request) returns the frames of the answer or a Reply.

    An exception in the worker ends the thread and is raised again by stop().
    """

    def __init__(self, worker, handler):
        super().__init__(daemon=True)
        self.worker, self.handler = worker, handler
        self.ending, self.error, self.served = threading.Event(), None, 0
        self.start()

    def run(self):
        try:
            while not self.ending.is_set():
                try:
                    request = self.worker.take(0.02)
                except Silence:
                    continue
                self.answer(request, self.handler(request))
                self.served += 1
            self.worker.leave()
        except Exception as error:          # whatever it is, stop() has to raise it
            self.error = error
            self.worker.vanish()

    def answer(self, request, reply):
        if isinstance(reply, list):
            reply = Reply(reply)
        if not self.worker.can_partial:     # all it can do is to send the pieces together
            reply = Reply([*itertools.chain(*reply.partials), *reply.body], [], reply.status)
        for part in reply.partials:
            self.worker.partial(request, part)
        if reply.status == 200:
            self.worker.final(request, reply.body)
        else:
            self.worker.final(request, reply.body, reply.status)

    def stop(self):
        self.ending.set()
        self.join(DEADLINE)
        if self.error:
            raise self.error


def echo(request):
    """The handler of most tests."""
    return list(request.body)


# ---- In between ---------------------------------------------------------------------------------

class Proxy(threading.Thread):
    """A ROUTER/DEALER proxy: it adds one address to what goes to the broker."""

    def __init__(self, context, endpoint):
        super().__init__(daemon=True)
        self.front = context.socket(zmq.ROUTER)
        self.back = context.socket(zmq.DEALER)
        for socket in (self.front, self.back):
            socket.linger = 0
            socket.rcvhwm = socket.sndhwm = 0
        self.front.bind("tcp://127.0.0.1:*")
        self.endpoint = self.front.last_endpoint.decode()
        self.back.connect(endpoint)
        self.ending = threading.Event()
        self.start()

    def run(self):
        poller = zmq.Poller()
        poller.register(self.front, zmq.POLLIN)
        poller.register(self.back, zmq.POLLIN)
        while not self.ending.is_set():
            ready = dict(poller.poll(20))
            if self.front in ready:
                self.back.send_multipart(self.front.recv_multipart())
            if self.back in ready:
                self.front.send_multipart(self.back.recv_multipart())
        self.front.close()
        self.back.close()

    def stop(self):
        self.ending.set()
        self.join(DEADLINE)
