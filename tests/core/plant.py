#!/usr/bin/env python3
"""plant.py - bugs in copies of bstar_core, to see whether the searches find them.

Usage: plant.py copy TO FILE...    copy the files, with all bugs behind a switch

How a bug is written stands in tests/support/plant.py. The hunt is test_bstar_planted.c, which
switches them on one by one. Number 4, a clock that stands still in a pause, is none of the core's:
the world of the search has it.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import plant  # noqa: E402

# number: (file, what is wrong, text, text with the bug)
PLANTS = {
    1: ("bstar_round.c", "the lease is counted from receipt of the grants",
        "    uint64_t lease_ns = round->sent_ns + self->config.valid_ns;",
        "    uint64_t lease_ns =\n"
        "        (planted(1) ? self->now_ns : round->sent_ns) + self->config.valid_ns;"),
    2: ("bstar_voter.c", "no wait after a voter's restart",
        "        .state = VOTER_AMNESIA,", "        .state = planted(2) ? VOTER_FREE : VOTER_AMNESIA,"),
    3: ("bstar_voter.c", "the vote is not durable",
        "        .epoch = voter->next_epoch,\n        .holder = voter->next_holder,\n",
        "        .epoch = planted(3) ? voter->epoch : voter->next_epoch,\n"
        "        .holder = planted(3) ? voter->holder : voter->next_holder,\n"),
    5: ("bstar_round.c", "no nonce per round: a late grant counts in a new one",
        "    if (number == BSTAR_ROUNDS) {",
        "    if (planted(5) && guarded->rounds[guarded->newest].is_open)\n"
        "        number = guarded->newest;\n    if (number == BSTAR_ROUNDS) {"),
    6: ("bstar_guarded.c", "release while still serving",
        "    self->guarded.is_soft = true;\n",
        "    self->guarded.is_soft = true;\n    if (planted(6)) {\n        bstar_release(self);\n"
        "        bstar_close_rounds(self);\n    }\n"),
    7: ("bstar_guarded.c", "an abandoned round may still win",
        "        bstar_release(self);\n    to_passive(self);\n    self->guarded.not_before_ns",
        "        bstar_release(self);\n    const struct bstar_round *round =\n"
        "        &self->guarded.rounds[self->guarded.newest];\n"
        "    if (planted(7) && self->guarded.state == GUARDED_CANDIDATE &&\n"
        "        self->now_ns - round->sent_ns < self->config.lease_ns) {\n"
        "        self->guarded.round_ns = bstar_later(self, self->config.round_ns);\n"
        "        return;\n    }\n"
        "    to_passive(self);\n    self->guarded.not_before_ns"),
    8: ("bstar_core.c", "our own lease is not looked at before the event",
        "        bstar_guarded_judge(self);\n        voter_advance(self);",
        "        if (!planted(8) || self->event->kind == BSTAR_ON_TICK)\n"
        "            bstar_guarded_judge(self);\n        voter_advance(self);"),
    9: ("bstar_voter.c", "a renewal does not bind the voter for longer",
        "    hold(self);\n    return VOTER_YES;",
        "    if (!planted(9))\n        hold(self);\n    return VOTER_YES;"),
    10: ("bstar_voter.c", "a voter that is bound to another gives its vote away",
         "        return is_holder ? VOTE_HOLDER : VOTE_OTHER;",
         "        return is_holder || planted(10) ? VOTE_HOLDER : VOTE_OTHER;"),
    11: ("bstar_round.c", "FAULT is left without the operator",
         "    self->stats.beats_in++;\n    bstar_heard(",
         "    self->stats.beats_in++;\n    if (planted(11) && guarded->state == GUARDED_FAULT)\n"
         "        guarded->state = GUARDED_PASSIVE;\n    bstar_heard("),
    20: ("bstar_classic.c", "nobody yields",
         "    self->stats.yields++;\n", "    self->stats.yields++;\n    if (planted(20))\n"
         "        return;\n"),
    21: ("bstar_classic.c", "a backup that waits never serves",
         "    if (self->pulse.is_stopping) {\n        bstar_refuse(self, \"stopping\");",
         "    if (self->pulse.is_stopping ||\n"
         "        (planted(21) && self->classic.state == CLASSIC_WAIT_B)) {\n"
         "        bstar_refuse(self, \"stopping\");"),
    22: ("bstar_classic.c", "a passive half takes over on silence that is none",
         "    if (!bstar_is_silent(self, &self->classic.peer))\n        row = VOTE_ALIVE;",
         "    if (!planted(22) && !bstar_is_silent(self, &self->classic.peer))\n"
         "        row = VOTE_ALIVE;"),
    23: ("bstar_classic.c", "with equal epochs nobody wins",
         "        return !self->config.is_primary;\n",
         "        return !self->config.is_primary && !planted(23);\n"),
    24: ("bstar_classic.c", "after a pause an active half goes on as before",
         "    drop_queued_grace(self);\n    move_to(self, own_wait(self));",
         "    drop_queued_grace(self);\n    if (planted(24))\n        return;\n"
         "    move_to(self, own_wait(self));"),
}

PLANTED = plant.Plants(__doc__, PLANTS, command=None, found="", unit="search")

if __name__ == "__main__":
    sys.exit(PLANTED.main(sys.argv[1:]))
