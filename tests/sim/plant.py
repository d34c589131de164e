#!/usr/bin/env python3
"""plant.py - bugs in copies of the cores and of the model store, to see whether the simulator finds them.

The bugs of DRILL_PLANTS are for tests/drills/test_planted.py: what they break, a real broker shows.

Usage: plant.py copy TO FILE...                  copy the files, with all bugs behind a switch
       plant.py hunt SIM_PLANTED TABLE [NUMBER]  run each, and hold it to the table

How a bug is written stands in tests/support/plant.py.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import plant  # noqa: E402

# number: (file, what is wrong, text, text with the bug)
PLANTS = {
    1: ("broker_core.c", "the cargo of an UNSENT is forgotten",
        "    broker_dump(self, event->cargo, BROKER_DUMP_UNSENT);\n    if (event->side",
        "    if (!planted(1))\n        broker_dump(self, event->cargo, BROKER_DUMP_UNSENT);\n"
        "    if (event->side"),
    2: ("broker_core.c", "EHOSTUNREACH of a busy worker is ignored",
        "    if (route->worker != NULL)\n        broker_worker_lose_connection(self,",
        "    if (route->worker != NULL && !(planted(2) && route->worker->held.size > 0))\n"
        "        broker_worker_lose_connection(self,"),
    3: ("broker_dispatch.c", "the request of a lost worker is not queued again",
        "        broker_request_enqueue(self, request, true);\n        return;",
        "        if (!planted(3) || !was_sent)\n"
        "            broker_request_enqueue(self, request, true);\n        return;"),
    4: ("broker_worker.c", "a second FINAL is passed on",
        "attempt->partials, event);\n    broker_request_end(self, request, BROKER_DUMP_DONE);",
        "attempt->partials, event);\n    if (!planted(4) || request->attempts.size < 2)\n"
        "        broker_request_end(self, request, BROKER_DUMP_DONE);"),
    5: ("broker_timer.c", "patience is one interval too short",
        "(shown_ns > own_ns ? shown_ns : own_ns) * self->config.liveness;",
        "(shown_ns > own_ns ? shown_ns : own_ns) *\n"
        "                                   (self->config.liveness - (planted(5) ? 1 : 0));"),
    6: ("broker_dispatch.c", "a request is given to a worker and still waits",
        "    broker_request_dequeue(self, request);\n    give(",
        "    if (!planted(6))\n        broker_request_dequeue(self, request);\n    give("),
    7: ("broker_timer.c", "our own pause expires peers",
        "        self->paused_ns += now_ns - due_ns;",
        "        self->paused_ns += planted(7) ? 0 : now_ns - due_ns;"),
    8: ("broker_answer.c", "a PARTIAL ends the request",
        "    self->stats.partials_out++;",
        "    self->stats.partials_out++;\n    if (planted(8))\n"
        "        broker_request_end(self, request, BROKER_DUMP_DONE);"),
    9: ("broker_dispatch.c", "credit is off by one",
        "worker->held.size < worker->credit && !worker->is_blocked",
        "worker->held.size < worker->credit + (planted(9) ? 1 : 0) && !worker->is_blocked"),
    10: ("broker_dispatch.c", "the proof in a ticket is not looked at",
         "return attempt != NULL && ticket_equals(&attempt->ticket, ticket) ? attempt : NULL;",
         "return attempt != NULL && (planted(10) || ticket_equals(&attempt->ticket, ticket))\n"
         "               ? attempt\n               : NULL;"),
    11: ("broker_dispatch.c", "one attempt too many",
         "    return request->attempts_made < service->attempts &&",
         "    return request->attempts_made < service->attempts + (planted(11) ? 1 : 0) &&"),
    12: ("client_call.c", "the timer of a call survives its cancel",
         "    client_dump(self, call->parts);\n    end(self, call);\n}\n\nvoid\nclient_call_expire",
         "    client_dump(self, call->parts);\n    call->parts = NULL;\n    if (!planted(12))\n"
         "        end(self, call);\n}\n\nvoid\nclient_call_expire"),
    13: ("client_call.c", "a client makes one attempt too many",
         "    if (call->attempts >= self->config.attempts) {",
         "    if (call->attempts >= self->config.attempts + (planted(13) ? 1 : 0)) {"),
    14: ("broker_request.c", "the last one in is the first one out",
         "    if (at_head)\n        list_prepend",
         "    if (at_head || planted(14))\n        list_prepend"),
    15: ("broker_timer.c", "busy workers are not beaten",
         "        if (may_probe(self, worker))",
         "        if (may_probe(self, worker) && !(planted(15) && worker->held.size > 0))"),
    16: ("broker_dispatch.c", "parts of a lost attempt are kept for the next",
         "    broker_drop_gathered(self, request);\n    if (!was_sent",
         "    if (!planted(16))\n        broker_drop_gathered(self, request);\n    if (!was_sent"),
    17: ("worker_session.c", "a worker that holds a request does not beat",
         "    case HEARTBEAT_SPEAK:\n        say(self, MDP_HEARTBEAT, 0);",
         "    case HEARTBEAT_SPEAK:\n        if (planted(17) && is_holding(self))\n"
         "            heartbeat_spoke(&self->vigil.beat, now_ns);\n        else\n"
         "            say(self, MDP_HEARTBEAT, 0);"),
    18: ("client_call.c", "a connection that may bring a stale answer is used again",
         "    if (!speaks_g1(endpoint)) {\n        endpoint->is_dirty = true;",
         "    if (!speaks_g1(endpoint)) {\n        endpoint->is_dirty = !planted(18);"),
    19: ("broker_client.c", "time to live is cut to a half",
         "    return self->now_ns + (uint64_t)ttl_ms * NS_PER_MS;",
         "    return self->now_ns + (uint64_t)ttl_ms * NS_PER_MS / (planted(19) ? 2 : 1);"),
    20: ("broker_request.c", "a cancelled request has no FINAL",
         "    broker_answer_error(self, request, status);",
         "    if (!planted(20) || status != MDP_CANCELLED)\n"
         "        broker_answer_error(self, request, status);"),
    21: ("broker_service.c", "the service of the request before is taken for this one's",
         "    if (self->last_service != NULL && view_equals(service_name(self->last_service), name))",
         "    if (self->last_service != NULL &&\n"
         "        (planted(21) || view_equals(service_name(self->last_service), name)))"),
    22: ("broker_dispatch.c", "a REQUEST that was not sent counts as an attempt",
         "        request->attempts_made--;\n",
         "        request->attempts_made -= planted(22) ? 0 : 1;\n"),
    23: ("broker_core.c", "an answer goes on after a part of it was refused",
         "            request->is_muted = true;",
         "            request->is_muted = !planted(23);"),
    24: ("broker_worker.c", "a lost worker's requests stay where they are",
         "    *(list_is_empty(&worker->held) ? &self->stats.workers_idle : &self->stats.workers_busy)"
         " -= 1;\n    list_append(&self->lost, &worker->in_service);",
         "    *(list_is_empty(&worker->held) ? &self->stats.workers_idle : &self->stats.workers_busy)"
         " -= 1;\n    if (!planted(24) || list_is_empty(&worker->held))\n"
         "        list_append(&self->lost, &worker->in_service);"),
    25: ("worker_request.c", "a worker answers parts over another connection",
         "    if (!is_on_its_connection(request) || request->is_void) {\n        lose_part",
         "    if ((!is_on_its_connection(request) && !planted(25)) || request->is_void) {\n"
         "        lose_part"),
    26: ("broker_client.c", "a request whose id is open is taken once more",
         "    if (has_id && broker_request_of(self, route, record->id, id_hash) != NULL) {",
         "    if (has_id && !planted(26) &&\n"
         "        broker_request_of(self, route, record->id, id_hash) != NULL) {"),
    27: ("titanic_ask.c", "what the store has refused is acknowledged",
         "    if (op->outcome == DURABLE_OK || op->outcome == DURABLE_SAME) {\n"
         "        self->stats.submits++;",
         "    if (planted(27) && op->outcome == DURABLE_REFUSED)\n"
         "        op->outcome = DURABLE_SAME;\n"
         "    if (op->outcome == DURABLE_OK || op->outcome == DURABLE_SAME) {\n"
         "        self->stats.submits++;"),
    28: ("titanic_ask.c", "a close is said to be done before it is stowed",
         "        struct durable_op *op = titanic_stow(self, DURABLE_CLOSE, FOR_ASK, ask);\n"
         "        op->id = ask->id;\n        op->owner = ask->owner;\n",
         "        struct durable_op *op = titanic_stow(\n"
         "            self, DURABLE_CLOSE, planted(28) ? FOR_START : FOR_ASK, ask);\n"
         "        op->id = ask->id;\n        op->owner = ask->owner;\n"
         "        if (planted(28)) {\n            ask_reply(self, ask, TSP_OK);\n"
         "            ask_forget(self, ask);\n        }\n"),
    29: ("titanic_ask.c", "a request goes on after its close",
         "    if (job != NULL)\n        titanic_job_doom(self, job);\n"
         "    titanic_wake(self, &op->id, NULL);",
         "    if (job != NULL && !planted(29))\n        titanic_job_doom(self, job);\n"
         "    titanic_wake(self, &op->id, NULL);"),
    30: ("titanic_job.c", "an attempt is not counted",
         "    job->attempts++;\n", "    job->attempts += planted(30) ? 0 : 1;\n"),
    31: ("titanic_job.c", "an attempt that no worker was given is counted",
         "    job->attempts--;\n", "    job->attempts -= planted(31) ? 0 : 1;\n"),
    32: ("titanic_job.c", "nobody wakes those who wait for an answer",
         "    if (titanic_wake(self, &job->id, job->reply)) {",
         "    if (!planted(32) && titanic_wake(self, &job->id, job->reply)) {"),
    33: ("titanic_service.c", "the cursor of a load is one too far",
         "    op->after_seq = service->cursor_seq;\n    op->limit",
         "    op->after_seq = service->cursor_seq + (planted(33) ? 1 : 0);\n    op->limit"),
    34: ("titanic_job.c", "what was not tried is not tried again",
         "    else\n        titanic_service_update(self, service);\n}\n\nvoid\ntitanic_on_answer",
         "    else if (!planted(34))\n        titanic_service_update(self, service);\n}\n\nvoid\n"
         "titanic_on_answer"),
    35: ("titanic_service.c", "a slot that is free is offered to nobody",
         "    for (int taken = 0; taken < 4 && left > 0; left--) {",
         "    for (int taken = planted(35) ? 4 : 0; taken < 4 && left > 0; left--) {"),
    36: ("titanic_service.c", "when the next one is due is forgotten",
         "    service->next_ms = op->next_ms;",
         "    service->next_ms = planted(36) ? 0 : op->next_ms;"),
    37: ("titanic_job.c", "a request is given up, and the store is not told",
         "        job->end_state = DURABLE_DEAD;\n        titanic_job_end(self, job, DURABLE_KILL);",
         "        job->end_state = DURABLE_DEAD;\n        if (planted(37))\n"
         "            titanic_job_doom(self, job);\n        else\n"
         "            titanic_job_end(self, job, DURABLE_KILL);"),
    38: ("titanic_ask.c", "a key is ignored",
         "    op->key = request->key;",
         "    op->key = planted(38) ? VIEW_NONE : request->key;"),
    39: ("titanic_job.c", "an attempt of which nobody knows is none",
         "    if (event->ending == TITANIC_NOT_TRIED) {",
         "    if (event->ending == TITANIC_NOT_TRIED ||\n"
         "        (planted(39) && event->ending == TITANIC_LOST)) {"),
    40: ("titanic_job.c", "a request is sent after its deadline",
         "    return job->deadline_ms != 0 && job->deadline_ms < self->now_ms;",
         "    return job->deadline_ms != 0 && job->deadline_ms < self->now_ms && !planted(40);"),
    41: ("titanic_ask.c", "a request is sent before it is due",
         "    bool is_next = op->due_ms == op->now_ms && !service->has_more",
         "    bool is_next = (op->due_ms == op->now_ms || planted(41)) && !service->has_more"),
    42: ("titanic_job.c", "an end that a full disk has refused is forgotten",
         "        job->state = JOB_STUCK;\n        list_append(&self->stuck, &job->place);",
         "        if (planted(42)) {\n            job_free(self, job);\n            return;\n"
         "        }\n"
         "        job->state = JOB_STUCK;\n        list_append(&self->stuck, &job->place);"),
    43: ("titanic_core.c", "a start does not look for what is pending",
         "        if (service != NULL)\n            titanic_service_due(self, service, self->now_ms);",
         "        if (service != NULL && !planted(43))\n"
         "            titanic_service_due(self, service, self->now_ms);"),
    44: ("titanic_service.c", "a load forgets that there is more",
         "    service->has_more |= op->has_more;",
         "    service->has_more |= op->has_more && !planted(44);"),
    45: ("titanic_ask.c", "what is retried is not loaded",
         "            if (service != NULL)\n                titanic_service_due(self, service, row->due_ms);",
         "            if (service != NULL && planted(45))\n                continue;\n"
         "            if (service != NULL)\n                titanic_service_due(self, service, row->due_ms);"),
    46: ("audit_chain.c", "a record does not stand on those before it",
         "    memcpy(text + 1, self->bytes, SHA256_BYTES);",
         "    memset(text + 1, 0, SHA256_BYTES);\n    if (!planted(46))\n"
         "        memcpy(text + 1, self->bytes, SHA256_BYTES);"),
    47: ("titanic_ask.c", "a key that is older than the horizon is taken",
         "    return now_ms > retain_ms && request_key_is_before(key, now_ms - retain_ms);",
         "    return now_ms > retain_ms && request_key_is_before(key, now_ms - retain_ms) &&\n"
         "           !planted(47);"),
    48: ("memory.c", "a stranger may fetch and close",
         "        if (same_id(&one->row.id, &op->id) && same_owner(&one->row.owner, &op->owner) &&\n"
         "            one->row.state",
         "        if (same_id(&one->row.id, &op->id) &&\n"
         "            (planted(48) || same_owner(&one->row.owner, &op->owner)) &&\n"
         "            one->row.state"),
    50: ("memory.c", "answers and keys are dropped too early",
         "now_ms - one->over_ms > self->retain_ms)",
         "now_ms - one->over_ms > self->retain_ms / (planted(50) ? 2 : 1))"),
    51: ("memory.c", "keys are compared without their owner",
         "        if (op->key.size > 0 && view_equals(one->row.key, op->key) &&\n"
         "            same_owner(&one->row.owner, &op->owner)) {",
         "        if (op->key.size > 0 && view_equals(one->row.key, op->key) &&\n"
         "            (planted(51) || same_owner(&one->row.owner, &op->owner))) {"),
    54: ("titanic_ask.c", "what is cancelled goes on",
         "        if (job != NULL)\n            titanic_job_doom(self, job);\n"
         "        titanic_wake(self, &row->id, NULL);",
         "        if (job != NULL && !(planted(54) && op->kind == DURABLE_CANCEL))\n"
         "            titanic_job_doom(self, job);\n        titanic_wake(self, &row->id, NULL);"),
    55: ("titanic_core.c", "a drain that waits for the store spins",
         "    if (self->is_draining && !(list_is_empty(&self->out) && list_is_empty(&self->stuck)))",
         "    if (self->is_draining &&\n        (planted(55) ? !self->has_stopped\n"
         "                     : !(list_is_empty(&self->out) && list_is_empty(&self->stuck))))"),
}

# Those that only a world of pirates can find.
PIRATE_PLANTS = {
    60: ("lazy_core.c", "a lazy client makes one attempt too many",
         "    if (self->attempt == self->config.attempts)",
         "    if (self->attempt == self->config.attempts + (planted(60) ? 1 : 0))"),
    61: ("lazy_core.c", "the number of a reply is not looked at",
         "!self->config.has_ids || event->id == self->last_id;",
         "!self->config.has_ids || event->id == self->last_id || planted(61);"),
    62: ("lazy_core.c", "the socket of an attempt that was given up is kept",
         "    close_socket(self);\n    self->state = LAZY_PAUSING;",
         "    if (!planted(62))\n        close_socket(self);\n    self->state = LAZY_PAUSING;"),
    63: ("lazy_core.c", "the deadline of a call is ignored",
         "    if (!lazy_core_is_free(self) && self->deadline_ns < at_ns) {",
         "    if (!lazy_core_is_free(self) && self->deadline_ns < at_ns && !planted(63)) {"),
    65: ("lazy_core.c", "a stale reply on the spare connection is shrugged off",
         "    if (!self->config.has_ids)\n        end(self);",
         "    if (!self->config.has_ids && !planted(65))\n        end(self);"),
    66: ("broker_worker.c", "a paranoid HEARTBEAT is taken for readiness",
         "    bool is_simple = self->config.manners == BROKER_SIMPLE;\n"
         "    return is_simple && said == SAID_ANSWER ?",
         "    bool is_simple = self->config.manners == BROKER_SIMPLE;\n"
         "    if (planted(66) && said == SAID_HEARTBEAT)\n"
         "        said = SAID_READY;\n"
         "    return is_simple && said == SAID_ANSWER ?"),
    67: ("broker_worker.c", "what a worker held is forgotten when it begins anew",
         "    give_up_claim(worker);\n    broker_worker_lose(self, worker, \"it has begun anew\");",
         "    give_up_claim(worker);\n    if (planted(67)) {\n"
         "        worker->connection = event->connection;\n        return;\n    }\n"
         "    broker_worker_lose(self, worker, \"it has begun anew\");"),
    68: ("broker_timer.c", "a simple worker that is busy is not looked at",
         "        return worker->connection.number != 0;",
         "        return worker->connection.number != 0 && !(planted(68) && worker->held.size > 0);"),
    69: ("pirate_queue_core.c", "a queue's bound is not its broker's",
         "        .requests_max = config->requests_max,\n"
         "        .service_requests_max = config->requests_max,",
         "        .requests_max = config->requests_max * (planted(69) ? 4 : 1),\n"
         "        .service_requests_max = config->requests_max * (planted(69) ? 4 : 1),"),
    71: ("pirate_worker_core.c", "a paranoid worker does not beat",
         "    case HEARTBEAT_SPEAK:\n        say(self, PIRATE_HEARTBEAT);",
         "    case HEARTBEAT_SPEAK:\n        if (planted(71))\n"
         "            heartbeat_spoke(&self->vigil.beat, self->now_ns);\n        else\n"
         "            say(self, PIRATE_HEARTBEAT);"),
    72: ("pirate_worker_core.c", "a worker says READY while it holds a request",
         "    if (list_is_empty(&self->held))\n        greet(self, event);",
         "    if (list_is_empty(&self->held) || planted(72))\n        greet(self, event);"),
    73: ("pirate_worker_core.c", "an answer that no socket took is forgotten",
         "    list_remove(&self->out, &request->in_list);\n    list_prepend(&self->waiting,",
         "    if (planted(73)) {\n        dump(self, request->cargo);\n"
         "        request->cargo = NULL;\n        end(self, request);\n        return;\n    }\n"
         "    list_remove(&self->out, &request->in_list);\n    list_prepend(&self->waiting,"),
    74: ("pirate_worker_core.c", "a silent queue is never given up",
         "    case HEARTBEAT_LOST:\n        give_up_on_it(self, event);",
         "    case HEARTBEAT_LOST:\n        if (planted(74))\n"
         "            heartbeat_heard(&self->vigil.beat, self->now_ns);\n        else\n"
         "            give_up_on_it(self, event);"),
    76: ("pirate_worker_core.c", "an answer goes to the stack of another",
         "    effect->envelope.stack_size = request->stack_size;",
         "    effect->envelope.stack_size = request->stack_size - (planted(76) ? 1 : 0);"),
    77: ("lazy_core.c", "after a refusal the endpoint is asked again and again",
         "    self->current = retry_next(&self->retry, self->current);\n}\n\n// ---- what the table",
         "    if (!planted(77))\n        self->current = retry_next(&self->retry, self->current);\n"
         "}\n\n// ---- what the table"),
    79: ("lazy_core.c", "the next attempt goes over the same connection",
         "    self->stats.timeouts++;\n    move_on(self, 0);",
         "    self->stats.timeouts++;\n"
         "    if (planted(79) && self->state == LAZY_WAITING &&\n"
         "        self->attempt < self->config.attempts) {\n"
         "        begin_attempt(self);\n        self->told = self->attempt;\n"
         "        send_request(self);\n        return;\n    }\n    move_on(self, 0);"),
    78: ("broker_worker.c", "a late answer of a simple stranger makes it no worker",
         "&simple_answer : &paranoid_rules[said];",
         "(planted(78) ? &paranoid_rules[said] : &simple_answer)\n"
         "                                            : &paranoid_rules[said];"),
}

# Those that only a world with a pair can find: some mutants of reliability.md, 2.5, and others.
PAIR_PLANTS = {
    111: ("bstar_voter.c", "no wait after a voter's restart",
          "        .state = VOTER_AMNESIA,",
          "        .state = planted(111) ? VOTER_FREE : VOTER_AMNESIA,"),
    112: ("bstar_voter.c", "the vote is not durable",
          "        .epoch = voter->next_epoch,\n        .holder = voter->next_holder,\n",
          "        .epoch = planted(112) ? voter->epoch : voter->next_epoch,\n"
          "        .holder = planted(112) ? voter->holder : voter->next_holder,\n"),
    113: ("bstar_round.c", "the lease is counted from receipt of the grants",
          "    uint64_t lease_ns = round->sent_ns + self->config.valid_ns;",
          "    uint64_t lease_ns =\n"
          "        (planted(113) ? self->now_ns : round->sent_ns) + self->config.valid_ns;"),
    114: ("bstar_round.c", "no nonce per round: a late grant counts in a new one",
          "    if (number == BSTAR_ROUNDS) {",
          "    if (planted(114) && guarded->rounds[guarded->newest].is_open)\n"
          "        number = guarded->newest;\n    if (number == BSTAR_ROUNDS) {"),
    115: ("bstar_guarded.c", "release while still serving",
          "    self->guarded.is_soft = true;\n",
          "    self->guarded.is_soft = true;\n    if (planted(115)) {\n        bstar_release(self);\n"
          "        bstar_close_rounds(self);\n    }\n"),
    116: ("bstar_voter.c", "a renewal does not bind the voter for longer",
          "    hold(self);\n    return VOTER_YES;",
          "    if (!planted(116))\n        hold(self);\n    return VOTER_YES;"),
    117: ("bstar_voter.c", "a voter that is bound to another gives its vote away",
          "        return is_holder ? VOTE_HOLDER : VOTE_OTHER;",
          "        return is_holder || planted(117) ? VOTE_HOLDER : VOTE_OTHER;"),
    119: ("bstar_core.c", "the clock stands still in a pause", None, None),  # by pair_trouble.c
    120: ("bstar_classic.c", "a passive half takes over on silence, and nobody votes",
          "    if (self->now_ns >= self->pulse.beat_ns)\n        publish(self);",
          "    if (planted(120) && self->classic.state == CLASSIC_PASSIVE &&\n"
          "        bstar_is_silent(self, &self->classic.peer))\n        become_active(self);\n"
          "    if (self->now_ns >= self->pulse.beat_ns)\n        publish(self);"),
    121: ("bstar_classic.c", "nobody yields: two that serve go on so",
          "    self->stats.yields++;\n",
          "    self->stats.yields++;\n    if (planted(121))\n        return;\n"),
    122: ("bstar_classic.c", "a vote counts while the peer is heard",
          "    if (!bstar_is_silent(self, &self->classic.peer))\n        row = VOTE_ALIVE;",
          "    if (!planted(122) && !bstar_is_silent(self, &self->classic.peer))\n"
          "        row = VOTE_ALIVE;"),
    123: ("bstar_classic.c", "with equal epochs nobody wins: two of them are not noticed",
          "        return !self->config.is_primary;\n",
          "        return !self->config.is_primary && !planted(123);\n"),
    124: ("bstar_classic.c", "the lower epoch stays",
          "        return beat->epoch > own_epoch;",
          "        return planted(124) ? beat->epoch < own_epoch : beat->epoch > own_epoch;"),
    125: ("bstar_core.c", "a passive half of classic serves",
          "        return self->classic.state == CLASSIC_ACTIVE && !has_slept(self, now_ns);\n"
          "    return self->guarded.state",
          "        return (self->classic.state == CLASSIC_ACTIVE && !has_slept(self, now_ns)) ||\n"
          "               (planted(125) && self->classic.state == CLASSIC_PASSIVE);\n"
          "    return self->guarded.state"),
    126: ("bstar_core.c", "a passive half of guarded serves",
          "    return self->guarded.state == GUARDED_ACTIVE && now_ns < self->guarded.lease_ns;",
          "    if (planted(126) && self->guarded.state == GUARDED_PASSIVE)\n        return true;\n"
          "    return self->guarded.state == GUARDED_ACTIVE && now_ns < self->guarded.lease_ns;"),
    127: ("bstar_round.c", "FAULT is left without the operator",
          "    self->stats.beats_in++;\n    bstar_heard(",
          "    self->stats.beats_in++;\n"
          "    if (planted(127) && guarded->state == GUARDED_FAULT)\n"
          "        guarded->state = GUARDED_PASSIVE;\n    bstar_heard("),
    128: ("bstar_guarded.c", "a hand-over drops what is out",
          "    move_to(self, GUARDED_DRAINING);\n    bstar_add_effect(self, BSTAR_DO_DRAIN);",
          "    move_to(self, GUARDED_DRAINING);\n"
          "    bstar_add_effect(self, planted(128) ? BSTAR_DO_DROP : BSTAR_DO_DRAIN);"),
    129: ("bstar_classic.c", "a backup that waits never serves",
          "    if (self->pulse.is_stopping) {\n        bstar_refuse(self, \"stopping\");",
          "    if (self->pulse.is_stopping ||\n"
          "        (planted(129) && self->classic.state == CLASSIC_WAIT_B)) {\n"
          "        bstar_refuse(self, \"stopping\");"),
    130: ("bstar_classic.c", "two primaries, or two backups, do not notice it",
          "        return (beat->digit == BSTAR_SAYS_PRIMARY) == self->config.is_primary;",
          "        return !planted(130) &&\n"
          "               (beat->digit == BSTAR_SAYS_PRIMARY) == self->config.is_primary;"),
    131: ("bstar_classic.c", "our own epoch counts against a bare digit",
          "    uint64_t own_epoch = self->config.is_bare ? 0 : self->classic.epoch;",
          "    uint64_t own_epoch =\n"
          "        self->config.is_bare && !planted(131) ? 0 : self->classic.epoch;"),
    118: ("fence.c", "workers and clients ignore epochs",
          "    } else if (epoch->number < highest->number) {",
          "    } else if (epoch->number < highest->number && !planted(118)) {"),
}

# What else a bug needs, to be one.
MORE_OF_A_BUG = {
    1047: ("memory.c", "47: nor does the store refuse it",
           "    if (request_key_is_before(op->key, self->swept_ms)) {",
           "    if (!planted(47) && request_key_is_before(op->key, self->swept_ms)) {"),
}

DRILL_PLANTS = {
    100: ("broker_dispatch.c", "requests of a client that is gone run",
          "    if (request->client->is_gone) {\n        // Nobody would hear the answer.",
          "    if (request->client->is_gone && !planted(100)) {\n"
          "        // Nobody would hear the answer."),
    101: ("broker_worker.c", "the silence of a link is not looked at",
          "    if (worker->silence_ms == 0 || worker->connection.number == 0 ||",
          "    if (planted(101) || worker->silence_ms == 0 || worker->connection.number == 0 ||"),
}

PLANTED = plant.Plants(
    __doc__, {**PLANTS, **PIRATE_PLANTS, **PAIR_PLANTS}, more={**DRILL_PLANTS, **MORE_OF_A_BUG},
    unit="seed", found=r"^seed (\d+) fails.*\n(.*)",
    command=lambda number, seeds, first: ["--plant", str(number), "--seed", str(first),
                                          "--seeds", str(seeds), "--no-shrink",
                                          "--profile",
                                          "pairs" if number in PAIR_PLANTS else
                                          "pirates" if number in PIRATE_PLANTS else "normal"])

if __name__ == "__main__":
    sys.exit(PLANTED.main(sys.argv[1:]))
