"""Peers that flood the broker, read nothing and vanish: the others are served all the same.

    GALLEON_BIN=build/asan /usr/bin/python3 tests/interop/test_flood.py [-v]
"""

import time
import unittest

import zmq

from peers import CLIENT_G1, Record, encode_pack
from support import BrokerTest

BEATS = 80_000              # in one pack: 960 KB, near the limit of a message
PIECE = encode_pack(CLIENT_G1, [Record("heartbeat")])[0]
PACK = PIECE + PIECE[8:] * (BEATS - 1)
TABLE = encode_pack(CLIENT_G1, [Record("request", id=1, service=b"mmi.workers")])[0]

# What libzmq does when a connection ends depends on what has filled up before, and on the 3 s
# after which the broker gives up one that does not read.
FLOODS = (1, 1, 2.5, 4)     # seconds
AFTERWARDS = 1.3            # seconds in which a timer of libzmq's would find what is left


class Flood(BrokerTest):

    def flood(self, seconds):
        """Send all that the broker takes, read nothing, and close at once."""
        context = zmq.Context()
        flooders = [(context.socket(zmq.DEALER), message) for message in (PACK, TABLE)]
        for socket, _ in flooders:
            socket.linger, socket.sndhwm = 0, 4
            socket.connect(self.endpoint)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for socket, message in flooders:
                if socket.poll(1, zmq.POLLOUT):
                    socket.send(message, copy=False)
        context.destroy(0)

    def test_peers_that_flood_and_vanish_end_nothing(self):
        service = self.name()
        self.serve("g1", service)
        for seconds in FLOODS:
            self.flood(seconds)
            time.sleep(AFTERWARDS)
            self.assertEqual(self.asking.call(service, [b"still there"]).body, [b"still there"])


if __name__ == "__main__":
    unittest.main()
