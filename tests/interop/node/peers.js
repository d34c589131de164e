// Majordomo peers for Node.js: 7/MDP, 18/MDP and an MDP/G1 client, written from the specifications.
//
// A socket of the zeromq package allows one send and one receive at a time, so every peer here
// sends through a chain of promises and has one loop that receives.

import * as zmq from "zeromq";

export const DEADLINE = 20000; // ms; generous, because a test waits for events and not for time

const EMPTY = Buffer.alloc(0);
const byte = (value) => Buffer.from([value]);
const is = (frame, text) => frame !== undefined && frame.equals(Buffer.from(text, "latin1"));

export class Malformed extends Error {}

function check(condition, frames) {
    if (!condition) {
        throw new Malformed(frames.map((frame) => frame.toString("hex").slice(0, 80)).join(" "));
    }
}

// Bounds a wait, so that a silent broker is a failed test and not a hanging one.
export async function within(promise, what, milliseconds = DEADLINE) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what}: nothing in time`)), milliseconds);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

class Link {
    constructor(Socket, endpoint, options = {}) {
        this.socket = new Socket({
            linger: 1000,
            receiveHighWaterMark: 0, // a full receive queue would keep libzmq from answering PINGs
            sendHighWaterMark: 0,
            ...options,
        });
        this.socket.connect(endpoint);
        this.sending = Promise.resolve();
    }

    send(frames) {
        this.sending = this.sending.then(() => this.socket.send(frames));
        return this.sending;
    }

    receive() {
        return within(this.socket.receive(), "receive");
    }

    close(linger) {
        if (this.socket.closed) {
            return;
        }
        if (linger !== undefined) {
            this.socket.linger = linger;
        }
        this.socket.close();
    }
}

// ---- Clients -----------------------------------------------------------------------------------

// 7/MDP on a REQ socket, which adds and takes the empty frame itself.
export class Client01 {
    constructor(endpoint, options = {}) {
        this.link = new Link(zmq.Request, endpoint, options);
    }

    async call(service, body) {
        await this.link.send(["MDPC01", service, ...body]);
        const frames = await this.link.receive();
        check(is(frames[0], "MDPC01") && is(frames[1], service) && frames.length > 2, frames);
        return { status: 200, partials: [], body: frames.slice(2) };
    }

    close() {
        this.link.close(0);
    }
}

export class CorrelatedClient01 extends Client01 {
    constructor(endpoint) {
        super(endpoint, { correlate: true, relaxed: true });
    }
}

// 18/MDP on a DEALER: any number of PARTIAL 0x02, then one FINAL 0x03.
export class Client02 {
    constructor(endpoint) {
        this.link = new Link(zmq.Dealer, endpoint);
    }

    async call(service, body) {
        await this.link.send(["MDPC02", byte(1), service, ...body]);
        const partials = [];
        for (;;) {
            const frames = await this.link.receive();
            check(is(frames[0], "MDPC02") && is(frames[2], service) && frames.length > 3, frames);
            if (is(frames[1], "\x03")) {
                return { status: 200, partials, body: frames.slice(3) };
            }
            check(is(frames[1], "\x02"), frames);
            partials.push(frames.slice(3));
        }
    }

    close() {
        this.link.close(0);
    }
}

const PACK_HEAD = Buffer.from("MDPCG1\x01\x00", "latin1");
const PACK_MAX = 65536;
const LOOSE = 0x80;
const LOOSE_ABOVE = 8192;
const REQUEST = 1;
const PARTIAL = 2;
const FINAL = 3;

function encodeRequest(id, service, body) {
    const loose = body.reduce((sum, part) => sum + part.length, 0) > LOOSE_ABOVE;
    const parts = loose ? [] : body.flatMap((part) => {
        const length = Buffer.alloc(4);
        length.writeUInt32BE(part.length);
        return [length, part];
    });
    const name = Buffer.from(service);
    const head = Buffer.alloc(20);
    head[4] = REQUEST;
    head[5] = loose ? LOOSE : 0;
    head[6] = name.length;
    head.writeBigUInt64BE(id, 8); // and ttl_ms 0 after it
    const record = Buffer.concat([head, name, ...parts]);
    record.writeUInt32BE(record.length);
    return { record, loose: loose ? body : [] };
}

function decodeAnswers(frames) {
    const pack = frames[0];
    check(pack.length > 8 && pack.subarray(0, 7).equals(PACK_HEAD.subarray(0, 7)), frames);
    const answers = [];
    for (let at = 8; at < pack.length;) {
        check(pack.length - at >= 20, frames);
        const size = pack.readUInt32BE(at);
        const record = pack.subarray(at, at + size);
        check(size >= 20 && record.length === size, frames);
        check([PARTIAL, FINAL].includes(record[4]) && (record[5] & ~LOOSE) === 0, frames);
        at += size;
        const last = at === pack.length;
        const loose = (record[5] & LOOSE) !== 0;
        check(loose ? last : !last || frames.length === 1, frames);
        const body = loose ? frames.slice(1) : [];
        check(!loose || size === 20, frames);
        for (let part = 20; part < size;) {
            check(size - part >= 4, frames);
            const end = part + 4 + record.readUInt32BE(part);
            check(end <= size, frames);
            body.push(record.subarray(part + 4, end));
            part = end;
        }
        const id = record.readBigUInt64BE(8);
        answers.push(record[4] === PARTIAL
            ? { id, seq: record.readUInt32BE(16), body }
            : { id, status: record.readUInt16BE(16), parts: record.readUInt16BE(18), body });
    }
    return answers;
}

// MDP/G1 on a DEALER: callAll sends its requests in as few messages as the page allows.
export class ClientG1 {
    constructor(endpoint) {
        this.link = new Link(zmq.Dealer, endpoint);
        this.nextId = 1n;
        this.messages = 0; // received
    }

    async call(service, body) {
        const [answer] = await this.callAll(service, [body]);
        return answer;
    }

    async callAll(service, bodies) {
        const open = new Map();
        const answers = bodies.map(() => {
            const answer = { status: 0, partials: [], body: [] };
            open.set(this.nextId++, answer);
            return answer;
        });
        let pack = [PACK_HEAD];
        let size = PACK_HEAD.length;
        const flush = async (loose = []) => {
            if (pack.length > 1) {
                await this.link.send([Buffer.concat(pack), ...loose]);
            }
            pack = [PACK_HEAD];
            size = PACK_HEAD.length;
        };
        const ids = [...open.keys()];
        for (const [at, body] of bodies.entries()) {
            const { record, loose } = encodeRequest(ids[at], service, body);
            if (size + record.length > PACK_MAX) {
                await flush();
            }
            pack.push(record);
            size += record.length;
            if (loose.length > 0) {
                await flush(loose);
            }
        }
        await flush();
        while (open.size > 0) {
            const frames = await this.link.receive();
            this.messages++;
            for (const record of decodeAnswers(frames)) {
                const answer = open.get(record.id);
                check(answer !== undefined, frames);
                if (record.seq !== undefined) {
                    check(record.seq === answer.partials.length, frames);
                    answer.partials.push(record.body);
                } else {
                    check(record.parts === answer.partials.length, frames);
                    Object.assign(answer, { status: record.status, body: record.body });
                    open.delete(record.id);
                }
            }
        }
        return answers;
    }

    close() {
        this.link.close(0);
    }
}

// ---- Workers -----------------------------------------------------------------------------------

// What both dialects share. handler(body) returns { partials, body }, or a promise of it.
class Worker {
    constructor(dialect, endpoint, service, handler, { heartbeat = 250 } = {}) {
        Object.assign(this, dialect, { endpoint, service, handler, heartbeat });
        this.beats = 0;
        this.disconnects = 0;
        this.ended = false;
        this.running = this.run();
        this.running.catch(() => {}); // stop() throws it
    }

    async run() {
        while (!this.ended) {
            this.link = new Link(zmq.Dealer, this.endpoint);
            this.put(this.READY, Buffer.from(this.service));
            this.timer = setInterval(() => this.put(this.HEARTBEAT), this.heartbeat);
            try {
                await this.serve();
            } finally {
                clearInterval(this.timer);
                this.link.close();
            }
        }
    }

    // Serves one connection, until DISCONNECT or the end.
    async serve() {
        for await (const frames of this.link.socket) {
            const rest = frames.slice(this.front.length);
            check(is(rest[0], this.header) && rest[1]?.length === 1, frames);
            const command = rest[1][0];
            if (command === this.DISCONNECT) {
                this.disconnects++;
                return;
            }
            if (command === this.HEARTBEAT) {
                check(rest.length === 2, frames);
                this.beats++;
                continue;
            }
            check(command === this.REQUEST && rest.length > 4 && is(rest[3], ""), frames);
            const reply = await this.handler(rest.slice(4));
            this.answer(rest[2], reply.partials ?? [], reply.body);
        }
    }

    put(command, ...frames) {
        this.link.send([...this.front, this.header, byte(command), ...frames]).catch(() => {});
    }

    // Ends in order.
    async stop() {
        this.ended = true;
        this.put(this.DISCONNECT);
        await this.link.sending.catch(() => {});
        this.link.close();
        await this.running;
    }

    // Ends as a crash does.
    vanish() {
        this.ended = true;
        clearInterval(this.timer); // its handler may never come back to do it
        this.link.close(0);
    }
}

const MDP_01 = {
    front: [EMPTY], header: "MDPW01", READY: 1, REQUEST: 2, REPLY: 3, HEARTBEAT: 4, DISCONNECT: 5,
};
const MDP_02 = {
    front: [], header: "MDPW02", READY: 1, REQUEST: 2, PARTIAL: 3, FINAL: 4, HEARTBEAT: 5,
    DISCONNECT: 6,
};

export class Worker01 extends Worker {
    constructor(...rest) {
        super(MDP_01, ...rest);
    }

    answer(address, partials, body) {
        this.put(this.REPLY, address, EMPTY, ...partials.flat(), ...body);
    }
}

export class Worker02 extends Worker {
    constructor(...rest) {
        super(MDP_02, ...rest);
    }

    answer(address, partials, body) {
        for (const part of partials) {
            this.put(this.PARTIAL, address, EMPTY, ...part);
        }
        this.put(this.FINAL, address, EMPTY, ...body);
    }
}
