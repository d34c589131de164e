"""mdbroker, mdworker and mdclient against peers of our own in Python, over real sockets.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_interop.py [-v] [Class[.test]]

Each class starts one broker on a free loopback port and asks at its end that it leaves with exit
code 0, which under ASan also means without a leak. Each test uses service names of its own. A test
that expects silence proves it by something that comes later, never by waiting.
"""

import random
import signal
import socket
import struct
import unittest

import vectors
from brokers import Broker01, Broker02
from peers import (CLIENT_01, CLIENT_02, CLIENT_G1, NO_QUEUE, REDELIVERY, WORKER_01, WORKER_02,
                   WORKER_G1, ClientG1, Proxy, Record, Reply, Request, WorkerG1, decode_pack, echo,
                   encode_pack, ticket_text)
from support import (CLIENTS, HEARTBEAT, WINDOW, WORKERS, BrokerTest, PeerTest, Program, Raw, run)

BODIES = {
    "one frame": [b"Hi"],
    "one empty frame": [b""],
    "binary": [bytes(range(256)), b"\x00\xff\x0a\x0d"],
    "several frames": [b"a", b"", b"MDPC01", b"\x03", b""],
    "as many as go": [b"%d" % n for n in range(200)],
    "10 KiB": [random.Random(10).randbytes(10 * 1024)],
    "100 KiB": [random.Random(100).randbytes(100 * 1024), b"", b"end"],
}


# ---- The translation matrix ---------------------------------------------------------------------

class Matrix(BrokerTest):
    """Every kind of client with every kind of worker."""

    def cells(self, handler):
        """Yield each cell's names, its client, its worker and its service."""
        for worker_name in WORKERS:
            service = self.name(worker_name)
            worker = self.serve(worker_name, service, handler).worker
            for client_name in CLIENTS:
                cell = {"client": client_name, "worker": worker_name}
                yield cell, self.client(client_name), worker, service

    def test_bodies_arrive_in_both_directions(self):
        for cell, client, _, service in self.cells(echo):
            for what, body in BODIES.items():
                with self.subTest(**cell, body=what):
                    answer = client.call(service, body)
                    self.assertEqual((answer.status, answer.partials), (200, []))
                    self.assertEqual(answer.body, body)

    def test_partials_are_passed_on_or_gathered(self):
        parts = [[b"0", b"1"], [b""], [b"2", b"\x02"]]
        gathered = [b"0", b"1", b"", b"2", b"\x02", b"end"]
        for cell, client, worker, service in self.cells(lambda request: Reply([b"end"], parts)):
            with self.subTest(**cell):
                answer = client.call(service, [b"Hi"])
                if worker.can_partial and client.streams:
                    self.assertEqual((answer.partials, answer.body), (parts, [b"end"]))
                else:
                    self.assertEqual((answer.partials, answer.body), ([], gathered))

    def test_an_empty_body_is_one_empty_frame_but_between_g1_peers(self):
        seen = []

        def handler(request):
            seen.append(request.body)
            return []

        for cell, client, worker, service in self.cells(handler):
            with self.subTest(**cell):
                answer = client.call(service, [])
                both = isinstance(client, ClientG1) and isinstance(worker, WorkerG1)
                self.assertEqual(seen.pop(), [] if both else [b""])
                self.assertEqual(answer.body, [] if both else [b""])

    def test_status_reaches_g1_clients_and_is_silence_for_others(self):
        def handler(request):
            if request.body == [b"fail"]:
                return Reply([b"no such luck"], status=510)
            return request.body

        service = self.name()
        self.serve("g1", service, handler)
        for name in CLIENTS:
            with self.subTest(client=name):
                client = self.client(name)
                if isinstance(client, ClientG1):
                    answer = client.call(service, [b"fail"])
                    self.assertEqual((answer.status, answer.body), (510, [b"no such luck"]))
                elif name not in ("0.1", "0.2 with delimiter"):     # a plain REQ would be stuck
                    client.send(service, [b"fail"])
                self.assertEqual(client.call(service, [b"Hi"]).body, [b"Hi"])

    def test_a_status_that_is_the_brokers_own_becomes_500(self):
        service = self.name()
        self.serve("g1", service, lambda request: Reply([], status=int(request.body[0])))
        client = self.client("g1")
        for sent, received in ((400, 400), (403, 403), (409, 409), (413, 413), (429, 429),
                               (500, 500), (510, 510), (599, 599), (404, 500), (408, 500),
                               (499, 500), (502, 500), (503, 500), (509, 500), (600, 500),
                               (0, 500)):
            with self.subTest(status=sent):
                self.assertEqual(client.call(service, [b"%d" % sent]).status, received)


# ---- Envelopes ----------------------------------------------------------------------------------

class Envelopes(BrokerTest):
    """Address stacks: correlated REQ sockets, and proxies in between."""

    def test_a_relaxed_client_drops_the_answer_to_what_it_gave_up(self):
        for name in ("0.1 correlated", "g1 correlated"):
            with self.subTest(client=name):
                service = self.name(name)
                worker, client = self.worker("0.1", service), self.client(name)
                client.send(service, [b"first"])
                first = worker.take()
                client.send(service, [b"second"])
                worker.final(first, [b"late"])
                second = worker.take()
                self.assertEqual(second.body, [b"second"])
                worker.final(second, [b"in time"])
                self.assertEqual(client.receive(service).body, [b"in time"])

    def test_clients_behind_proxies(self):
        service = self.name()
        self.serve("g1", service)
        proxy = self.start(Proxy(self.context, self.endpoint))
        second = self.start(Proxy(self.context, proxy.endpoint))
        for name in CLIENTS:
            for hops, endpoint in enumerate((proxy.endpoint, second.endpoint), 1):
                if name in ("0.2", "g1"):
                    continue            # without a delimiter no stack can be seen
                with self.subTest(client=name, proxies=hops):
                    client = self.client(name, endpoint)
                    for body in ([b"Hi"], [b"", b"\x00", b"x" * 20000]):
                        self.assertEqual(client.call(service, body).body, body)

    def test_two_clients_behind_one_proxy_get_their_own_answers(self):
        service = self.name()
        worker = self.worker("g1", service, credit=2)
        proxy = self.start(Proxy(self.context, self.endpoint))
        clients = [self.client("g1 with delimiter", proxy.endpoint) for _ in range(2)]
        for number, client in enumerate(clients):
            client.send(service, [b"%d" % number])      # both use id 1
        for request in [worker.take(), worker.take()][::-1]:
            worker.final(request, request.body)
        worker.flush()
        for number, client in enumerate(clients):
            self.assertEqual(client.receive(service).body, [b"%d" % number])


# ---- MMI ----------------------------------------------------------------------------------------

class Management(BrokerTest):
    """RFC 8 to the byte, and the services that Galleon adds."""

    def raw_answers(self, service, body):
        """Yield the name of each dialect and all frames of its answer."""
        raw = Raw(self)
        raw.send(b"", CLIENT_01, service, body)
        yield "0.1", [b"", CLIENT_01, service], raw.receive()
        raw.send(b"\x01\x02", b"", CLIENT_01, service, body)
        yield "0.1 with a stack", [b"\x01\x02", b"", CLIENT_01, service], raw.receive()
        raw.send(CLIENT_02, b"\x01", service, body)
        yield "0.2", [CLIENT_02, b"\x03", service], raw.receive()
        raw.send(b"", CLIENT_02, b"\x01", service, body)
        yield "0.2 with delimiter", [b"", CLIENT_02, b"\x03", service], raw.receive()

    def check_code(self, service, body, code):
        for dialect, front, frames in self.raw_answers(service, body):
            with self.subTest(dialect=dialect, service=service):
                self.assertEqual(frames, [*front, code])
        head = b"MDPCG1\x01\x00"
        request = struct.pack("!QI", 7, 0) + service + struct.pack("!I", len(body)) + body
        final = struct.pack("!QHHI", 7, 200, 0, 3) + code
        raw = Raw(self)
        for front in ([], [b""], [b"\x01", b""]):
            raw.send(*front, head + struct.pack("!IBBBB", 8 + len(request), 1, 0, len(service), 0)
                     + request)
            with self.subTest(dialect="g1", front=front, service=service):
                self.assertEqual(raw.receive(),
                                 [*front, head + struct.pack("!IBBBB", 27, 3, 0, 0, 0) + final])

    def test_mmi_service_is_byte_exact(self):
        self.check_code(b"mmi.service", self.name(), b"404")
        for worker in WORKERS:
            service = self.name(worker)
            self.serve(worker, service)
            self.check_code(b"mmi.service", service, b"200")

    def test_a_name_only_asked_for_is_404(self):
        service = self.name()
        self.client("0.1").send(service, [b"Hi"])
        self.wait_for_row(service, queued=1)
        self.check_code(b"mmi.service", service, b"404")

    def test_unknown_names_are_501(self):
        for service in (b"mmi.unknown", b"mmi.", b"mmi.servic", b"mmi.services.x", b"mmi.SERVICE",
                        b"mmi.ha"):
            self.check_code(service, b"Hi", b"501")

    def test_dialects(self):
        for dialect, front, frames in self.raw_answers(b"mmi.dialects", b""):
            with self.subTest(dialect=dialect):
                self.assertEqual(frames, [*front, b"200", b"0.1 0.2 g1"])
        self.assertEqual(self.mmi(b"dialects"), [b"200", b"0.1 0.2 g1"])

    def test_ping_answers_with_the_frames_of_the_request(self):
        for body in ([b"Hi"], [b"a", b"", b"\x00" * 1000], [b"x" * 20000]):
            for name in CLIENTS:
                with self.subTest(client=name, frames=len(body)):
                    answer = self.client(name).call(b"mmi.ping", body)
                    self.assertEqual(answer.body, [b"200", *body])

    def test_services_counts_what_waits_and_what_is_out(self):
        service = self.name()
        _, text = self.mmi(b"services")
        self.assertEqual(text.split(b"\n")[0].split(b"\t")[:5],
                         [b"service", b"workers", b"idle", b"queued", b"out"])
        client = self.client("0.1 dealer")
        for _ in range(3):
            client.send(service, [b"Hi"])
        self.wait_for_row(service, workers=0, idle=0, queued=3, out=0)
        worker = self.worker("0.1", service)
        request = worker.take()
        self.wait_for_row(service, workers=1, idle=0, queued=2, out=1)
        for _ in range(2):
            worker.final(request, [b"done"])
            request = worker.take()
        worker.final(request, [b"done"])
        self.wait_for_row(service, workers=1, idle=1, queued=0, out=0)
        self.assertLess(len(self.table(b"services", b"1")), len(self.table(b"services")) + 1)

    def test_workers_are_listed_by_number_and_service(self):
        service = self.name()
        for dialect in ("0.1", "0.2", "g1"):
            self.serve(dialect, service)
        self.wait_for_row(service, workers=3)
        code, text = self.mmi(b"workers", service)
        self.assertEqual(code, b"200")
        lines = [line.split("\t") for line in text.decode().splitlines()]
        self.assertEqual(lines[0][1:7], ["service", "dialect", "state", "credit", "out", "age"])
        self.assertEqual(sorted(line[2] for line in lines[1:]), ["0.1", "0.2", "g1"])
        self.assertEqual({line[1] for line in lines[1:]}, {service.decode()})
        self.assertEqual(len({int(line[0]) for line in lines[1:]}), 3)
        credits = {line[2]: (line[4], line[5]) for line in lines[1:]}
        self.assertEqual(credits, {"0.1": ("1", "0"), "0.2": ("1", "0"), "g1": ("4", "0")})
        self.assertGreaterEqual(len(self.table(b"workers")), 3)
        self.assertEqual(self.table(b"workers", service + b".none"), [])

    def test_stats_are_names_and_numbers(self):
        rows = self.table(b"stats")
        self.assertGreater(len(rows), 5)
        self.assertEqual(set(rows[0]), {"name", "value"})
        for row in rows:
            self.assertRegex(row["value"], r"^[0-9]+$", row["name"])


# ---- Lost workers -------------------------------------------------------------------------------

class Redelivery(BrokerTest):
    arguments = ("--service", "once,attempts=never", "--service", "limited,limit=300",
                 "--service", "small,queue=1")

    def test_a_worker_killed_while_busy_loses_no_request(self):
        cells = []
        for dialect in WORKERS:         # all are lost first, so that one probe finds them
            for client_name in ("0.1", "0.2", "g1"):
                service = self.name(dialect, client_name)
                first, client = self.worker(dialect, service), self.client(client_name)
                client.send(service, [b"Hi"])
                cells.append((dialect, client_name, service, client, first, first.take()))
        for *_, first, _ in cells:
            first.vanish()
        for dialect, client_name, service, client, _, taken in cells:
            with self.subTest(worker=dialect, client=client_name):
                second = self.worker(dialect, service)
                again = second.take()
                self.assertNotEqual(again.address, taken.address)
                self.assertEqual(again.body, [b"Hi"])
                if isinstance(second, WorkerG1):
                    self.assertEqual((taken.attempt, again.attempt), (1, 2))
                    self.assertTrue(again.flags & REDELIVERY)
                second.final(again, [b"second"])
                second.flush()
                self.assertEqual(client.receive(service).body, [b"second"])

    def test_a_lost_request_goes_to_the_head_of_its_queue(self):
        for dialect in WORKERS:
            with self.subTest(worker=dialect):
                service, client = self.name(dialect), self.client("g1")
                first = self.worker(dialect, service, **self.one_at_a_time(dialect))
                ids = [client.request(service, [b"%d" % n]) for n in range(3)]
                client.flush()
                self.assertEqual(first.take().body, [b"0"])
                first.leave()
                order = []
                self.serve("0.1", service, lambda request: order.append(request.body) or [b"done"])
                for request in ids:
                    self.assertEqual(client.answer(request).body, [b"done"])
                self.assertEqual(order, [[b"0"], [b"1"], [b"2"]])

    def test_a_worker_that_leaves_while_busy_loses_no_request(self):
        service = self.name()
        first, client = self.worker("0.1", service), self.client("0.1")
        client.send(service, [b"Hi"])
        first.take()
        first.leave()
        self.serve("0.2", service)
        self.assertEqual(client.receive(service).body, [b"Hi"])

    def test_parts_gathered_from_a_lost_worker_are_thrown_away(self):
        service = self.name()
        first, client = self.worker("0.2", service), self.client("0.1")
        client.send(service, [b"Hi"])
        first.partial(first.take(), [b"half"])
        first.bye()                     # after the PARTIAL, on the same connection
        self.serve("0.2", service, lambda request: Reply([b"end"], [[b"whole"]]))
        self.assertEqual(client.receive(service).body, [b"whole", b"end"])

    def test_after_a_partial_was_passed_on_it_is_not_run_again(self):
        service = self.name()
        first, client = self.worker("g1", service), self.client("g1")
        client.send(service, [b"Hi"])
        first.partial(first.take(), [b"half"])
        first.flush()
        self.assertEqual(client.next_record().command, "partial")
        first.vanish()
        final = client.next_record()
        self.assertEqual((final.command, final.status), ("final", 502))

    def test_attempts_never_is_502(self):
        first, client = self.worker("g1", b"once"), self.client("g1")
        client.send(b"once", [b"Hi"])
        first.take()
        first.vanish()
        self.assertEqual(client.receive(b"once").status, 502)

    def test_three_attempts_and_then_502(self):
        service, client = self.name(), self.client("g1")
        client.send(service, [b"Hi"])
        for attempt in (1, 2, 3):
            worker = self.worker("g1", service)
            self.assertEqual(worker.take().attempt, attempt)
            worker.leave()
        self.assertEqual(client.receive(service).status, 502)

    def test_a_processing_limit_takes_the_request_away(self):
        first, client = self.worker("g1", b"limited"), self.client("g1")
        client.send(b"limited", [b"Hi"])
        first.take()
        disconnect = []
        while not disconnect:
            disconnect = [record for record in decode_pack(first.link.receive())[1]
                          if record.command == "disconnect"]
        self.assertEqual(disconnect[0].reason, 6)
        self.serve("g1", b"limited")
        self.assertEqual(client.receive(b"limited").body, [b"Hi"])

    def test_a_late_answer_over_a_new_connection_is_taken_from_0_1(self):
        service = self.name()
        first, client = self.worker("0.1", service), self.client("0.1")
        client.send(service, [b"Hi"])
        taken = first.take()
        first.vanish()
        self.wait_for_row(service, workers=0, queued=1)
        raw = Raw(self)
        raw.send(b"", WORKER_01, b"\x03", taken.address, b"", b"late")
        self.assertEqual(client.receive(service).body, [b"late"])
        self.assertEqual(raw.settle(), [[b"", WORKER_01, b"\x05"]])
        self.wait_for_row(service, queued=0, out=0)

    def test_a_full_queue_is_429_and_an_expired_request_404_or_408(self):
        client = self.client("g1")
        first = client.request(b"small", [b"1"])
        second = client.request(b"small", [b"2"])
        self.assertEqual(client.answer(second).status, 429)
        worker = self.worker("g1", b"small", credit=1)
        taken = worker.take()
        third = client.request(b"small", [b"3"], ttl=100)
        self.assertEqual(client.answer(third).status, 408)
        worker.final(taken, [b"done"])
        worker.flush()
        self.assertEqual(client.answer(first).body, [b"done"])
        nobody = client.request(self.name(), [b"4"], ttl=100)
        self.assertEqual(client.answer(nobody).status, 404)
        at_once = client.request(self.name(), [b"5"], flags=NO_QUEUE)
        self.assertEqual(client.answer(at_once).status, 404)

    def test_cancel_is_499_whether_it_waits_or_is_out(self):
        service, client = self.name(), self.client("g1")
        waits = client.request(service, [b"Hi"])
        client.add(Record("cancel", id=waits))
        self.assertEqual(client.answer(waits).status, 499)
        worker = self.worker("g1", service, credit=1)
        is_out = client.request(service, [b"Hi"])
        client.flush()
        taken = worker.take()
        client.add(Record("cancel", id=is_out))
        self.assertEqual(client.answer(is_out).status, 499)
        worker.final(taken, [b"too late"])      # dropped, and the slot is free again
        request = client.request(service, [b"next"])
        client.flush()
        taken = worker.take()
        self.assertEqual(taken.body, [b"next"])
        worker.final(taken, [b"done"])
        worker.flush()
        self.assertEqual(client.answer(request).body, [b"done"])

    def test_a_draining_worker_gets_nothing_more(self):
        service, client = self.name(), self.client("g1")
        draining = self.worker("g1", service, credit=4)
        first = client.request(service, [b"1"])
        client.flush()
        taken = draining.take()
        draining.add(Record("drain"))
        draining.flush()
        self.until(lambda: self.service_row(service)["idle"] == 0, "the drain")
        self.serve("0.1", service, lambda request: [b"other"])
        for number in range(4):
            request = client.request(service, [b"%d" % number])
            self.assertEqual(client.answer(request).body, [b"other"])
        draining.final(taken, [b"mine"])
        draining.leave()
        self.assertEqual(client.answer(first).body, [b"mine"])


# ---- What does not fit --------------------------------------------------------------------------

class Strangers(BrokerTest):
    """Messages that name nothing the broker knows."""

    def test_a_strangers_heartbeat_is_answered_by_disconnect(self):
        for sent, received in (
                ([b"", WORKER_01, b"\x04"], [b"", WORKER_01, b"\x05"]),
                ([WORKER_02, b"\x05"], [WORKER_02, b"\x06"]),
                ([b"", WORKER_02, b"\x05"], [b"", WORKER_02, b"\x06"]),
                (encode_pack(WORKER_G1, [Record("heartbeat", interval=HEARTBEAT)]),
                 encode_pack(WORKER_G1, [Record("disconnect", reason=2)]))):
            with self.subTest(sent=sent):
                raw = Raw(self)
                raw.send(*sent)
                self.assertEqual(raw.settle(), [received])

    def test_at_most_one_disconnect_a_second(self):
        raw = Raw(self)
        for _ in range(50):
            raw.send(b"", WORKER_01, b"\x04")
        self.assertEqual(raw.settle(), [[b"", WORKER_01, b"\x05"]])

    def test_answers_to_unknown_tickets_are_dropped(self):
        ticket = random.Random(1).randbytes(16)
        for dialect in ("0.1", "0.2", "g1"):
            with self.subTest(worker=dialect):
                service = self.name(dialect)
                worker, client = self.worker(dialect, service), self.client("0.1")
                address = ticket if dialect == "g1" else ticket_text(ticket)
                unknown = Request(address, [])
                worker.final(unknown, [b"nobody asked"])
                if worker.can_partial:
                    worker.partial(unknown, [b"nobody asked"])
                client.send(service, [b"Hi"])
                taken = worker.take()
                worker.final(unknown, [b"nobody asked"])
                worker.final(taken, [b"right"])
                worker.final(taken, [b"twice"])
                worker.flush()
                self.assertEqual(client.receive(service).body, [b"right"])
                client.send(service, [b"Hi"])
                worker.final(worker.take(), [b"next"])
                worker.flush()
                self.assertEqual(client.receive(service).body, [b"next"])
                self.assertEqual(worker.disconnects, 0)

    def test_random_bytes_change_nothing(self):
        service, dice = self.name(), random.Random(4711)
        self.serve("g1", service)
        rows = [row.frames[1:] for row in vectors.positive() if row.socket == "mdp"]
        raws = [Raw(self) for _ in range(20)]
        for raw in raws:
            for _ in range(50):
                if dice.random() < 0.5:
                    frames = [dice.randbytes(dice.choice((0, 1, 5, 6, 8, 30, 300)))
                              for _ in range(dice.randint(1, 8))]
                else:
                    frames = [bytearray(frame) for frame in dice.choice(rows)]
                    victim = dice.choice([frame for frame in frames if frame])
                    victim[dice.randrange(len(victim))] = dice.randrange(256)
                raw.send(*map(bytes, frames))
            raw.settle()
        self.assertEqual(self.client("0.1").call(service, [b"Hi"]).body, [b"Hi"])
        for raw in raws:
            raw.link.close(0)
        self.serve_what_is_left()

    def serve_what_is_left(self):
        """Some of it were requests and workers. The workers are lost, so let others finish."""
        self.until(lambda: all(row["out"] == "0" for row in self.table(b"services")), "the loss")
        for row in self.table(b"services"):
            if row["queued"] != "0":
                self.serve("g1", row["service"].encode())
        self.until(lambda: all((row["queued"], row["out"]) == ("0", "0")
                               for row in self.table(b"services")), "the end of all requests")

    def test_bytes_that_are_not_zeromq_change_nothing(self):
        host, port = self.endpoint.removeprefix("tcp://").split(":")
        dice = random.Random(11)
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"", b"\xff" * 10, dice.randbytes(1000),
                     b"\xff" + b"\x00" * 8 + b"\x7f\x03" + dice.randbytes(200)):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(data)
        self.assertEqual(self.mmi(b"ping", b"Hi"), [b"200", b"Hi"])


class Negative(BrokerTest):
    """Every row of the table of negative vectors that is for this socket, played to the broker.

    The state before each row is set up for real; `echo` becomes a name of the row's own, and the
    ticket of the page becomes the one that the broker gave.
    """

    TICKET = bytes.fromhex("00112233445566778899AABBCCDDEEFF")

    def test_rows(self):
        played = 0
        for number, row in enumerate(vectors.negative()):
            if row.socket != "mdp" or len(row.frames) == 1:
                continue                # (a socket cannot send a message of no frame, N1)
            played += 1
            with self.subTest(row.id, frames=len(row.frames), expect=row.expect, why=row.why):
                self.service = b"n%03d" % number
                self.row = row
                self.expected = [word for words in row.expect.split(" ; ")
                                 for word in words.split("+")]
                state, _, dialect = row.state.partition(" ")
                getattr(self, f"play_{state}")(dialect)
        self.assertEqual(played, 104)

    def frames(self, given=None):
        """Return the row's frames with the names and the ticket of this run."""
        frames = [frame.replace(b"echo", self.service) for frame in self.row.frames[1:]]
        if given:
            whole = ticket_text(self.TICKET)
            frames = [frame.replace(whole, given).replace(self.TICKET, given) for frame in frames]
        return frames

    def words(self, word):
        return [each for each in self.expected if each.split()[0] == word]

    def play_none(self, _):
        if self.row.id == "N36":
            return self.play_64_mib()
        raw = Raw(self)
        if any(frame[:4] == b"MDPW" for frame in self.row.frames):
            raw.send(*self.frames())
            self.check_worker(raw.settle(), beats=len(self.words("accept")))
            self.assertEqual(self.is_registered(self.service), bool(self.words("accept")))
            return None
        if self.words("accept"):
            self.serve("g1", self.service)
        raw.send(*self.frames())
        return self.check_client(raw)

    def play_64_mib(self):
        """The connection is closed; others do not notice."""
        Raw(self).send(*self.frames())
        self.assertEqual(self.mmi(b"ping", b"Hi"), [b"200", b"Hi"])

    def play_open(self, _):
        raw = Raw(self)
        raw.send(*encode_pack(CLIENT_G1, [Record("request", id=1, service=self.service,
                                                 body=[b"first"])]))
        self.assertEqual(raw.settle(), [])
        raw.send(*self.frames())
        self.assertEqual(raw.settle(), [])
        self.serve("0.1", self.service)
        self.assertEqual([vars(record) for record in decode_pack(raw.receive())[1]],
                         [vars(Record("final", id=1, status=200, body=[b"first"]))])
        self.assertEqual(raw.settle(), [])

    def check_client(self, raw):
        """Wait for the answers that the row asks for, and see that nothing else comes."""
        statuses = sorted(int(word.split()[1]) for word in self.words("final"))
        accepted = len(self.words("accept")) - statuses.count(499)     # CANCEL ends an accepted one
        wanted = len(statuses) + accepted
        bodies, found, beats = [], [], 0
        messages = raw.settle()
        while True:
            for frames in messages:
                while frames[0] not in (CLIENT_01, CLIENT_02) and frames[0][:6] != CLIENT_G1:
                    frames = frames[1:]
                if frames[0] == CLIENT_01:
                    bodies.append(frames[2:])
                elif frames[0] == CLIENT_02:
                    self.assertEqual(frames[1], b"\x03")
                    bodies.append(frames[3:])
                else:
                    records = decode_pack(frames)[1]
                    self.assertTrue(len(records) == 1 or self.row.id != "N113")
                    beats += sum(record.command == "heartbeat" for record in records)
                    finals = [record for record in records if record.command == "final"]
                    bodies += [record.body for record in finals if record.status == 200]
                    found += [record.status for record in finals if record.status != 200]
            if len(bodies) + len(found) + beats >= wanted:
                break
            messages = [raw.receive()]
        self.assertEqual(raw.settle(), [])
        self.assertEqual(sorted(found), statuses)
        self.assertEqual(len(bodies) + beats, accepted)
        self.assertEqual(beats, 1 if self.row.id == "N102" else 0)
        if self.row.id == "N4":
            self.assertEqual(bodies, [[b""]])

    def check_worker(self, messages, beats=0):
        """See that the worker got its DISCONNECT, or none; HEARTBEATs are allowed."""
        records = []
        for frames in messages:
            frames = frames[1:] if frames[0] == b"" else frames
            if frames[0] == WORKER_01:
                records.append({b"\x04": "heartbeat", b"\x05": "disconnect"}[frames[1]])
            elif frames[0] == WORKER_02:
                records.append({b"\x05": "heartbeat", b"\x06": "disconnect"}[frames[1]])
            else:
                records += [record.command if record.command == "heartbeat"
                            else f"{record.command} {record.reason}"
                            for record in decode_pack(frames)[1]]
        self.assertGreaterEqual(records.count("heartbeat"), beats)
        self.assertEqual([record for record in records if record != "heartbeat"],
                         self.words("disconnect"))

    def register(self, dialect):
        raw = Raw(self)
        raw.send(*{"0.1": [b"", WORKER_01, b"\x01", self.service],
                   "0.2": [WORKER_02, b"\x01", self.service],
                   "g1": encode_pack(WORKER_G1, [Record("ready", credit=1, interval=HEARTBEAT,
                                                        service=self.service)])}[dialect])
        return raw

    def occupy(self, dialect):
        """Return a worker that holds a request, its ticket, and the client that waits."""
        client = self.client("g1")
        client.send(self.service, [b"first"])
        self.wait_for_row(self.service, queued=1)
        raw = self.register(dialect)    # it finds work, so it is never lost by silence
        while True:
            frames = raw.receive()
            if dialect != "g1" and b"\x02" in frames[1:3]:
                return raw, frames[2 + (dialect == "0.1")], client
            if dialect == "g1":
                for record in decode_pack(frames)[1]:
                    if record.command == "request":
                        return raw, record.ticket, client

    def play_idle(self, dialect):
        raw = self.register(dialect)
        raw.settle()
        raw.send(*self.frames())
        messages = raw.settle()
        if self.row.id == "N46":
            self.assertIn([b"", CLIENT_01, b"mmi.service", b"200"], messages)
            return
        self.check_worker(messages)
        gone = self.words("disconnect") or self.words("forget")
        self.assertEqual(self.is_registered(self.service), not gone)

    def play_busy(self, dialect):
        raw, ticket, client = self.occupy(dialect)
        raw.send(*self.frames(ticket))
        self.check_worker(raw.settle())
        gone = self.words("disconnect") or self.words("forget")
        self.assertEqual(self.is_registered(self.service), not gone)
        if self.words("accept"):
            answer = client.receive(self.service)
            status, body = {"N9": (200, [b""]), "N73": (500, [b"x"])}.get(self.row.id,
                                                                         (200, [b"Hi"]))
            self.assertEqual((answer.status, answer.body), (status, body))
        elif self.words("requeue"):
            self.rescue(client)
        else:
            true = {"0.1": [b"", WORKER_01, b"\x03", ticket, b"", b"true"],
                    "0.2": [WORKER_02, b"\x04", ticket, b"", b"true"],
                    "g1": encode_pack(WORKER_G1, [Record("final", ticket=ticket, status=200,
                                                         body=[b"true"])])}[dialect]
            raw.send(*true)
            self.assertEqual(client.receive(self.service).body, [b"true"])

    def rescue(self, client):
        self.serve("0.1", self.service, lambda request: [b"rescued", *request.body])
        self.assertEqual(client.receive(self.service).body, [b"rescued", b"first"])

    def play_lost(self, dialect):
        raw, ticket, client = self.occupy(dialect)
        raw.link.close(0)
        self.wait_for_row(self.service, workers=0, queued=1)
        stranger = Raw(self)
        stranger.send(*self.frames(ticket))
        self.check_worker(stranger.settle())
        if self.words("accept"):
            self.assertEqual(client.receive(self.service).body, [b"Hi"])
        else:
            self.rescue(client)


# ---- Many and large -----------------------------------------------------------------------------

class Load(BrokerTest):
    def test_two_thousand_requests_pipelined(self):
        numbers = [[b"%d" % n] for n in range(2000)]
        for client_name, worker in (("0.1 dealer", "0.1"), ("0.2", "0.2"), ("0.1 dealer", "g1")):
            with self.subTest(client=client_name, worker=worker):
                service = self.name(client_name, worker)
                self.serve(worker, service, **self.one_at_a_time(worker))
                client, found = self.client(client_name), []
                for number, body in enumerate(numbers):
                    client.send(service, body)
                    if number >= WINDOW:
                        found.append(client.receive(service).body)
                found += [client.receive(service).body for _ in range(WINDOW)]
                self.assertEqual(found, numbers)        # one worker, one at a time: in order

    def test_two_thousand_requests_in_packs(self):
        for name in ("g1", "g1 with delimiter"):
            with self.subTest(client=name):
                service = self.name(name)
                self.serve("g1", service, credit=100)
                self.assertEqual(self.in_packs(self.client(name), service, 2000),
                                 [[b"%d" % n] for n in range(2000)])

    def test_many_workers_share_the_work(self):
        service = self.name()
        servers = [self.serve(name, service) for name in WORKERS for _ in range(2)]
        self.wait_for_row(service, workers=len(servers))
        self.assertEqual(self.in_packs(self.client("g1"), service, 500),
                         [[b"%d" % n] for n in range(500)])
        self.assertTrue(all(serving.served for serving in servers))

    def test_a_body_beyond_the_limit_is_413(self):
        service, client = self.name(), self.client("g1")
        self.serve("g1", service)
        small = client.request(service, [b"Hi"])
        large = client.request(service, [b"x" * 700000, b"y" * 700000])
        many = client.request(service, [b"x" * 40] * 300)
        self.assertEqual([client.answer(request).status for request in (small, large, many)],
                         [200, 413, 413])
        self.assertEqual(client.call(service, [b"x" * 1000000]).body, [b"x" * 1000000])


# ---- The end ------------------------------------------------------------------------------------

class Drain(PeerTest):
    """SIGTERM, with a broker for each test."""

    def setUp(self):
        super().setUp()
        self.broker = self.start(Program("mdbroker", "--bind", "tcp://127.0.0.1:*",
                                         "--heartbeat", HEARTBEAT), "kill")
        self.endpoint = self.broker.ready()

    def test_an_idle_broker_leaves_with_0(self):
        worker = self.worker("0.1", self.endpoint, b"echo")
        client = self.client("0.1", self.endpoint)
        self.until(lambda: client.call(b"mmi.service", [b"echo"]).body == [b"200"])
        self.broker.signal()
        while (frames := worker.link.receive()) == [b"", WORKER_01, b"\x04"]:
            pass
        self.assertEqual(frames, [b"", WORKER_01, b"\x05"])
        self.assertEqual(self.broker.wait(), 0, self.broker.error_text())

    def test_what_is_out_is_finished_first(self):
        old = self.worker("0.1", self.endpoint, b"old")
        new = self.worker("g1", self.endpoint, b"new")
        clients = [self.client("0.1", self.endpoint), self.client("g1", self.endpoint)]
        refused = self.client("g1", self.endpoint)
        refused.call(b"mmi.ping", [])
        clients[0].send(b"old", [b"Hi"])
        clients[1].send(b"new", [b"Hi"])
        taken = [old.take(), new.take()]
        self.broker.signal()
        while not new.draining:
            new.understand(new.link.receive())
        self.assertEqual(refused.call(b"new", [b"more"]).status, 503)
        old.final(taken[0], [b"old"])
        new.final(taken[1], [b"new"])
        new.flush()
        self.assertEqual(clients[0].receive(b"old").body, [b"old"])
        self.assertEqual(clients[1].receive(b"new").body, [b"new"])
        record = None
        while not record or record.command == "heartbeat":
            record = decode_pack(new.link.receive())[1][-1]
        self.assertEqual((record.command, record.reason), ("disconnect", 5))
        self.assertEqual(self.broker.wait(), 0, self.broker.error_text())

    def test_a_request_lost_in_the_drain_is_finished_by_another_worker(self):
        client, asking = self.client("g1", self.endpoint), self.client("g1", self.endpoint)
        first = self.worker("0.1", self.endpoint, b"busy")
        client.send(b"busy", [b"Hi"])
        first.take()
        second = self.worker("0.1", self.endpoint, b"busy")
        witness = self.worker("g1", self.endpoint, b"witness")
        self.until(lambda: {b"busy\t2", b"witness\t1"} <= {
            b"\t".join(row.split(b"\t")[:2])
            for row in asking.call(b"mmi.services", []).body[1].split(b"\n")})
        self.broker.signal()
        while not witness.draining:
            witness.understand(witness.link.receive())
        first.vanish()
        second.final(second.take(), [b"second"])
        self.assertEqual(client.receive(b"busy").body, [b"second"])
        self.assertEqual(self.broker.wait(), 0, self.broker.error_text())

    def test_sigint_is_the_same(self):
        self.broker.signal(signal.SIGINT)
        self.assertEqual(self.broker.wait(), 0, self.broker.error_text())

    def test_a_second_signal_does_not_wait(self):
        worker = self.worker("g1", self.endpoint, b"busy")
        client = self.client("g1", self.endpoint)
        client.send(b"busy", [b"Hi"])
        worker.take()
        self.broker.signal()
        while not worker.draining:
            worker.understand(worker.link.receive())
        self.broker.signal()
        self.broker.wait()


# ---- Our programs -------------------------------------------------------------------------------

DIALECTS = ("auto", "g1", "0.2", "0.1")


class OurClient(BrokerTest):
    """mdclient with workers that are not ours."""

    def mdclient(self, *arguments, stdin=None):
        return run("mdclient", "--broker", self.endpoint, *arguments, stdin=stdin)

    def test_every_dialect_with_every_worker(self):
        for worker in WORKERS:
            service = self.name(worker)
            self.serve(worker, service)
            for dialect in DIALECTS:
                with self.subTest(dialect=dialect, worker=worker):
                    found = self.mdclient("--dialect", dialect, service.decode(), "Hello", "world")
                    self.assertEqual(found[:2], (0, b"Hello\nworld\n"), found[2])

    def test_partials_are_printed_with_the_reply(self):
        for worker in ("0.2", "g1"):
            service = self.name(worker)
            self.serve(worker, service, lambda request: Reply([b"end"], [[b"1", b""], [b"2"]]))
            for dialect in DIALECTS:
                with self.subTest(dialect=dialect, worker=worker):
                    found = self.mdclient("--dialect", dialect, service.decode(), "Hi")
                    self.assertEqual(found[:2], (0, b"1\n\n2\nend\n"), found[2])

    def test_standard_input_is_a_body(self):
        service, data = self.name(), random.Random(5).randbytes(100 * 1024)
        self.serve("0.1", service)
        found = self.mdclient(service.decode(), "-", stdin=data)
        self.assertEqual(found[:2], (0, data + b"\n"), found[2])

    def test_mmi_is_a_service_like_any_other(self):
        self.assertEqual(self.mdclient("mmi.dialects")[:2], (0, b"200\n0.1 0.2 g1\n"))

    def test_an_error_status_is_exit_1(self):
        service = self.name()
        self.serve("g1", service, lambda request: Reply([b"out of ink"], status=510))
        code, output, errors = self.mdclient(service.decode(), "Hi")
        self.assertEqual((code, output), (1, b""))
        self.assertIn("out of ink", errors)

    def test_no_such_service_is_exit_4(self):
        code, output, errors = self.mdclient("--timeout", "300", "--attempts", "1",
                                             self.name().decode(), "Hi")
        self.assertEqual((code, output), (4, b""), errors)
        self.assertIn(self.name().decode(), errors)

    def test_silence_is_exit_3(self):
        for dialect in ("0.1", "0.2"):
            with self.subTest(dialect=dialect):
                code, output, errors = self.mdclient(
                    "--timeout", "100", "--attempts", "2", "--dialect", dialect,
                    self.name().decode(), "Hi")
                self.assertEqual((code, output), (3, b""), errors)

    def test_wrong_usage_is_exit_2(self):
        code, _, errors = run("mdclient", "--borker", self.endpoint, "echo")
        self.assertEqual(code, 2)
        self.assertIn("--broker", errors)
        self.assertEqual(self.mdclient()[0], 2)
        self.assertEqual(self.mdclient("--dialect", "0.3", "echo")[0], 2)


class OurWorker(BrokerTest):
    """mdworker with clients that are not ours."""

    def mdworker(self, service, *arguments, command=(), end="stop"):
        worker = self.start(Program("mdworker", "--broker", self.endpoint, "--heartbeat",
                                    HEARTBEAT, *arguments, service.decode(),
                                    *(["--", *command] if command else [])), end)
        self.wait_for_service(service)
        return worker

    def test_every_dialect_with_every_client(self):
        for dialect in DIALECTS:
            service = self.name(dialect)
            self.mdworker(service, "--dialect", dialect)
            row, = self.table(b"workers", service)
            self.assertEqual(row["dialect"], "g1" if dialect == "auto" else dialect)
            for name in CLIENTS:
                client = self.client(name)
                for what, body in BODIES.items():
                    with self.subTest(dialect=dialect, client=name, body=what):
                        self.assertEqual(client.call(service, body).body, body)

    def test_a_credit_of_100(self):
        service = self.name()
        self.mdworker(service, "--credit", "100")
        row, = self.table(b"workers", service)
        self.assertEqual(row["credit"], "100")
        self.assertEqual(self.in_packs(self.client("g1"), service, 2000),
                         [[b"%d" % n] for n in range(2000)])

    def test_a_command_for_each_request(self):
        service = self.name()
        self.mdworker(service, command=("tr", "a-z", "A-Z"))
        for name in CLIENTS:
            with self.subTest(client=name):
                self.assertEqual(self.client(name).call(service, [b"quiet"]).body, [b"QUIET"])

    def test_a_command_that_fails_is_500_and_the_next_request_is_served(self):
        service = self.name()
        self.mdworker(service, command=("sh", "-c", 'read word; test "$word" = good'))
        client = self.client("g1")
        self.assertEqual(client.call(service, [b"bad\n"]).status, 500)
        self.assertEqual(client.call(service, [b"good\n"]).status, 200)
        self.assertEqual(client.call(service, [b"bad\n"]).status, 500)

    def test_killed_while_busy_it_loses_no_request(self):
        service = self.name()
        killed = self.mdworker(service, command=("sleep", "600"), end="kill")
        client = self.client("0.1")
        client.send(service, [b"Hi"])
        self.wait_for_row(service, out=1)
        killed.kill()
        self.serve("0.1", service)
        self.assertEqual(client.receive(service).body, [b"Hi"])

    def test_sigterm_takes_it_off_the_broker_at_once(self):
        for dialect in DIALECTS:
            with self.subTest(dialect=dialect):
                service = self.name(dialect)
                worker = self.mdworker(service, "--dialect", dialect)
                worker.stop()
                self.wait_for_service(service, registered=False)

    def test_our_worker_and_our_client(self):
        for worker in DIALECTS:
            service = self.name(worker)
            self.mdworker(service, "--dialect", worker)
            for client in DIALECTS:
                with self.subTest(worker=worker, client=client):
                    found = run("mdclient", "--broker", self.endpoint, "--dialect", client,
                                service.decode(), "Hello", "", "world")
                    self.assertEqual(found[:2], (0, b"Hello\n\nworld\n"), found[2])


class ForeignBroker(PeerTest):
    """mdworker and mdclient with brokers that are not ours."""

    def mdworker(self, broker, *arguments):
        return self.start(Program("mdworker", "--broker", broker.endpoint, "--heartbeat",
                                  HEARTBEAT, *arguments, "echo"))

    def mdclient(self, broker, *arguments):
        return self.start(Program("mdclient", "--broker", broker.endpoint, "--timeout", "10000",
                                  *arguments, "echo", "Hello", "world"), "kill")

    def check_client(self, client):
        self.assertEqual(client.wait(), 0, client.error_text())
        self.assertEqual(client.output, [b"Hello\n", b"world\n"])

    def check_broker(self, broker, worker):
        """A beat while it waits, DISCONNECT at its end, and nothing that is not allowed."""
        broker.wait_until(lambda broker: broker.beats > 1)
        worker.stop()
        broker.wait_until(lambda broker: broker.farewells == 1)
        self.assertEqual((broker.ready, broker.violations), (1, []))

    def test_auto_falls_back_to_0_1_where_mmi_says_501(self):
        broker = self.start(Broker01(self.context))
        worker = self.mdworker(broker)
        self.check_client(self.mdclient(broker))
        for name in ("0.1", "0.1 dealer"):
            body = [b"\x00", b"", b"x" * 100000]
            self.assertEqual(self.client(name, broker.endpoint).call(b"echo", body).body, body)
        self.check_broker(broker, worker)

    def test_auto_falls_back_to_0_1_where_there_is_no_mmi(self):
        broker = self.start(Broker01(self.context, mmi=False))
        worker, client = self.mdworker(broker), self.mdclient(broker)
        self.check_client(client)
        self.check_broker(broker, worker)

    def test_our_client_with_a_foreign_worker_and_broker(self):
        broker = self.start(Broker01(self.context))
        self.serve("0.1", broker.endpoint, b"echo")
        self.check_client(self.mdclient(broker))
        self.check_client(self.mdclient(broker, "--dialect", "0.1"))
        self.assertEqual(broker.violations, [])

    def test_a_broker_that_forgot_its_workers(self):
        broker = self.start(Broker01(self.context))
        self.mdworker(broker)
        broker.wait_until(lambda broker: broker.ready == 1)
        with broker.changed:
            broker.workers.clear()
            broker.waiting.clear()
        broker.wait_until(lambda broker: broker.ready == 2)
        self.check_client(self.mdclient(broker))
        self.assertEqual(broker.violations, [])

    def test_printable_ids(self):
        broker = self.start(Broker01(self.context))
        self.mdworker(broker, "--printable-id")
        broker.wait_until(lambda broker: broker.workers)
        who, = broker.workers
        self.assertRegex(who, rb"^[A-Za-hj-ln-z][0-9A-Za-z]{16}$")
        self.check_client(self.mdclient(broker, "--printable-id"))

    def test_no_disconnect(self):
        broker = self.start(Broker01(self.context))
        worker = self.mdworker(broker, "--no-disconnect")
        self.check_client(self.mdclient(broker))
        worker.stop()
        self.assertEqual(self.client("0.1", broker.endpoint).call(b"mmi.x", [b""]).body, [b"501"])
        self.assertEqual((broker.farewells, broker.violations), (0, []))

    def test_0_2(self):
        broker = self.start(Broker02(self.context))
        worker = self.mdworker(broker, "--dialect", "0.2")
        self.check_client(self.mdclient(broker, "--dialect", "0.2"))
        answer = self.client("0.2", broker.endpoint).call(b"echo", [b"\x00", b""])
        self.assertEqual((answer.partials, answer.body), ([], [b"\x00", b""]))
        self.check_broker(broker, worker)

    def test_0_2_partials_from_a_foreign_worker(self):
        broker = self.start(Broker02(self.context))
        self.serve("0.2", broker.endpoint, b"echo",
                   lambda request: Reply(request.body[1:], [request.body[:1]]))
        self.check_client(self.mdclient(broker, "--dialect", "0.2"))
        self.assertEqual(broker.violations, [])


if __name__ == "__main__":
    unittest.main()
