#!/usr/bin/env python3
"""plant.py - bugs of a pair, in copies of what a broker, its workers and its clients do about it.

tests/drills/test_planted.py runs the drills on them: each has to fail. Who serves is decided by the
cores of bstar, which tests/core/plant.py and the simulator look after.

Usage: plant.py copy TO FILE...                  copy the files, with all bugs behind a switch

How a bug is written stands in tests/support/plant.py.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import plant  # noqa: E402

# number: (file, what is wrong, text, text with the bug). One number may be at several places: the
# further ones have numbers that nobody switches on.
PLANTS = {
    1: ("broker_pair.c", "the passive half serves",
        "    return (struct half_view){.is_serving = bstar_is_serving(self->half, now_ns),\n",
        "    bool is_passive = bstar_state(self->half) == BSTAR_PASSIVE;\n"
        "    return (struct half_view){.is_serving = bstar_is_serving(self->half, now_ns) ||\n"
        "                                            (planted(1) && is_passive),\n"),
    2: ("pair_follower.c", "a half that was frozen serves what has waited for it",
        "    if (self->phase == PAIR_FINISHES && self->is_quiet)\n",
        "    if (self->phase == PAIR_SERVES && (planted(2) || planted(3))) {\n"
        "        self->is_quiet |= self->owes_drained; // so that the half is told\n"
        "        self->must_drop = self->must_finish = false;\n"
        "        return false;\n    }\n"
        "    if (self->phase == PAIR_FINISHES && self->is_quiet)\n"),
    202: ("pair_follower.c", "what it sends is let through",
          "    return self->phase == PAIR_FINISHES && !is_request ? half->may_finish :",
          "    if (self->phase == PAIR_SERVES && (planted(2) || planted(3)))\n"
          "        return true;\n"
          "    return self->phase == PAIR_FINISHES && !is_request ? half->may_finish :"),
    3: ("worker_session.c", "the same, and workers do not look at epochs",
        "        if (verdict == FENCE_STALE) {",
        "        if (verdict == FENCE_STALE && !planted(3)) {"),
    4: ("pair_follower.c", "who hands over drops what is under way",
        "next = self->phase == PAIR_SERVES ? PAIR_FINISHES : PAIR_HOLDS;",
        "next = self->phase == PAIR_SERVES && !planted(4) ? PAIR_FINISHES : PAIR_HOLDS;"),
    5: ("client_endpoint.c", "a client does not go to the other half",
        "    self->current = endpoint;\n}",
        "    self->current = planted(5) ? self->current : endpoint;\n}"),
    6: ("broker_pair.c", "what is sent carries no epoch",
        "        event.has_epoch = bstar_stamp(self->half, &stamp);",
        "        event.has_epoch = bstar_stamp(self->half, &stamp) && !planted(6);"),
    7: ("clock.c", "leases are counted on the wall clock",
        "    clock_gettime(CLOCK_OURS, &now);\n    return (uint64_t)now.tv_sec * 1000000000u",
        "    clock_gettime(planted(7) ? CLOCK_REALTIME : CLOCK_OURS, &now);\n"
        "    return (uint64_t)now.tv_sec * 1000000000u"),
}

PLANTED = plant.Plants(__doc__, PLANTS, command=None, found="", unit="")

if __name__ == "__main__":
    sys.exit(PLANTED.main(sys.argv[1:]))
