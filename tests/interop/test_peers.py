"""Tests of the tests: the Python peers against each other and against docs/protocol/vectors.md.

Runs without any program of ours:  /usr/bin/python3 -m unittest discover -s tests/interop
"""

import unittest

import zmq

import vectors
from brokers import Broker01, Broker02
from peers import (CLIENT_G1, LOOSE, PACK_MAX, Malformed, Proxy, Record, Reply, Silence,
                   decode_pack, encode_pack, packs, ticket_text)
from support import PeerTest


class Vectors(unittest.TestCase):
    """The codec of peers.py agrees with every row of the page."""

    def test_g1_rows_decode_and_encode(self):
        rows = [row for row in vectors.positive() if row.dialect == "g1"]
        self.assertEqual(len(rows), 39)
        for row in rows:
            with self.subTest(row.id):
                frames = row.frames[1:]
                decoded = [vectors.items(text) for text in row.decoded.split(" ; ")]
                if decoded[0].get("delim"):
                    frames = frames[frames.index(b"") + 1:]
                side, records = decode_pack(frames)
                expected = [f"{side_name(side)}.{record.command}" for record in records]
                self.assertEqual(row.command.split("+"), expected)
                self.assertEqual(encode_pack(side, records), frames)
                for record, wanted in zip(records, decoded):
                    self.compare(record, wanted)

    def compare(self, record, wanted):
        for key in ("id", "ttl", "seq", "status", "parts", "interval", "credit", "attempt",
                    "reason", "flags"):
            self.assertEqual(getattr(record, key), int(wanted.get(key, 0)), key)
        self.assertEqual(record.service, wanted.get("service", "").encode())
        self.assertEqual(record.ticket.hex().upper(), wanted.get("ticket", ""))
        self.assertEqual(record.fields.hex().upper(), wanted.get("fields", ""))
        body = wanted.get("body")
        self.assertEqual(record.body, vectors.frames(body.replace(",", " ")) if body else [])

    def test_broken_packs_are_malformed(self):
        rows = {row.id: row for row in vectors.negative()}
        for name in ("N77 N82 N83 N84 N85 N86 N87 N88 N89 N90 N91 N92 N93 N94 N95 N96 N97 N98 "
                     "N99 N100 N101 N104 N105 N61 N63 N64 N66 N75").split():
            with self.subTest(name), self.assertRaises(Malformed):
                decode_pack(rows[name].frames[1:])

    def test_ticket_text_is_the_example_of_the_page(self):
        ticket = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
        self.assertEqual(ticket_text(ticket), b"004i6l1FaNMN2V62bz3kbhrb")
        self.assertEqual(len(ticket_text(b"\xff" * 16)), 24)

    def test_packs_close_at_their_limit_and_at_a_loose_record(self):
        small = [Record("request", id=n, service=b"echo", body=[b"x" * 1000]) for n in range(100)]
        large = Record("request", id=100, service=b"echo", body=[b"y" * 9000, b""])
        messages = packs(CLIENT_G1, small + [large] + small[:1])
        self.assertTrue(all(len(frames[0]) <= PACK_MAX for frames in messages))
        found = [record for frames in messages for record in decode_pack(frames)[1]]
        self.assertEqual([record.id for record in found], list(range(101)) + [0])
        self.assertEqual(found[100].flags & LOOSE, LOOSE)
        self.assertEqual(found[100].body, large.body)


def side_name(side):
    return "client" if side == CLIENT_G1 else "worker"


class Peers01(PeerTest):
    """Worker01 and both kinds of Client01 through Broker01."""

    def setUp(self):
        super().setUp()
        self.broker = self.start(Broker01(self.context))

    def test_bodies_arrive(self):
        self.serve("0.1", self.broker.endpoint, b"echo")
        for name in ("0.1", "0.1 dealer"):
            client = self.client(name, self.broker.endpoint)
            for body in ([b"Hi"], [b""], [b"\x00\xff", b"", b"x" * 100000]):
                self.assertEqual(client.call(b"echo", body).body, body)
        self.assertEqual(self.broker.violations, [])

    def test_pipelined_answers_come_in_order(self):
        self.serve("0.1", self.broker.endpoint, b"echo")
        client = self.client("0.1 dealer", self.broker.endpoint)
        for n in range(200):
            client.send(b"echo", [b"%d" % n])
        found = [client.receive(b"echo").body for _ in range(200)]
        self.assertEqual(found, [[b"%d" % n] for n in range(200)])

    def test_mmi_knows_workers_and_refuses_the_rest(self):
        self.serve("0.1", self.broker.endpoint, b"echo")
        self.broker.wait_until(lambda broker: broker.ready)
        client = self.client("0.1", self.broker.endpoint)
        self.assertEqual(client.call(b"mmi.service", [b"echo"]).body, [b"200"])
        self.assertEqual(client.call(b"mmi.service", [b"other"]).body, [b"404"])
        self.assertEqual(client.call(b"mmi.dialects", [b""]).body, [b"501"])

    def test_a_correlating_client_shows_the_limit_of_the_guide(self):
        with self.assertRaises(Silence):
            self.client("0.1 correlated", self.broker.endpoint).call(b"echo", [b"Hi"], 0.2)
        self.assertEqual(len(self.broker.violations), 1)

    def test_a_stranger_is_told_to_register_again(self):
        serving = self.serve("0.1", self.broker.endpoint, b"echo")
        self.broker.wait_until(lambda broker: broker.ready == 1)
        with self.broker.changed:
            self.broker.workers.clear()
            self.broker.waiting.clear()
        client = self.client("0.1", self.broker.endpoint)
        self.assertEqual(client.call(b"echo", [b"Hi"]).body, [b"Hi"])
        self.assertEqual(serving.worker.disconnects, 1)

    def test_without_mmi_an_mmi_name_is_silence(self):
        bare = self.start(Broker01(self.context, mmi=False))
        with self.assertRaises(Silence):
            self.client("0.1", bare.endpoint).call(b"mmi.dialects", [b""], 0.2)


class Peers02(PeerTest):
    """Worker02 and Client02 through Broker02."""

    def test_partials_and_final(self):
        broker = self.start(Broker02(self.context))
        self.serve("0.2", broker.endpoint, b"echo",
                   lambda request: Reply([b"!"], [request.body, [b"2", b""]]))
        client = self.client("0.2", broker.endpoint)
        answer = client.call(b"echo", [b"Hi", b""])
        self.assertEqual((answer.partials, answer.body), ([[b"Hi", b""], [b"2", b""]], [b"!"]))
        broker.wait_until(lambda broker: broker.beats > 0)
        self.assertEqual(broker.violations, [])


class Between(PeerTest):
    def test_a_proxy_adds_one_address(self):
        router = self.kept(self.context.socket(zmq.ROUTER))
        router.bind("tcp://127.0.0.1:*")
        proxy = Proxy(self.context, router.last_endpoint.decode())
        self.addCleanup(proxy.stop)
        client = self.client("0.1", proxy.endpoint)
        client.send(b"echo", [b"Hi"])
        frames = router.recv_multipart()
        self.assertEqual(len(frames), 6)
        self.assertEqual(frames[2:], [b"", b"MDPC01", b"echo", b"Hi"])
        router.send_multipart(frames)
        self.assertEqual(client.receive(b"echo").body, [b"Hi"])


if __name__ == "__main__":
    unittest.main()
