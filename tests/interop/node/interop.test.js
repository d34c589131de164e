// mdbroker, mdworker and mdclient against peers of our own in Node.js, over real sockets.
//
// Run by tests/interop/node/run. Every process that is started here is ended here.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import {
    Client01, Client02, ClientG1, CorrelatedClient01, DEADLINE, Worker01, Worker02, within,
} from "./peers.js";

const HEARTBEAT = 250;
const CLIENTS = {
    "0.1": Client01, "0.1 correlated": CorrelatedClient01, "0.2": Client02, "g1": ClientG1,
};
const WORKERS = { "0.1": Worker01, "0.2": Worker02 };
const BODIES = [
    [Buffer.from("Hi")],
    [Buffer.alloc(0)],
    [Buffer.from([0, 255, 10]), Buffer.alloc(0), Buffer.from("MDPC01")],
    [randomBytes(10 * 1024)],
    [randomBytes(100 * 1024), Buffer.from("end")],
];

function program(name) {
    const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
    const builds = process.env.GALLEON_BIN ? [process.env.GALLEON_BIN]
        : ["asan", "debug", "release"].map((preset) => join(root, "build", preset));
    const places = ["", "bin", "brokers", "workers", "clients"];
    const holds = (build, wanted) => places.map((place) => join(build, place, wanted))
        .find(existsSync);
    const build = builds.find((each) => holds(each, "mdbroker"));
    const path = build && holds(build, name);
    assert.ok(path, `no ${name} in ${builds.join(", ")}: build first, or set GALLEON_BIN`);
    return path;
}

// Starts a program that the kernel ends if this process is killed.
function start(name, ...args) {
    const child = spawn("setpriv", ["--pdeathsig", "KILL", program(name), ...args],
        { stdio: ["ignore", "pipe", "pipe"] });
    child.name = name;
    child.printed = "";
    child.stdout.setEncoding("latin1").on("data", (text) => { child.printed += text; });
    child.complaints = "";
    child.stderr.setEncoding("utf8").on("data", (text) => { child.complaints += text; });
    child.ending = once(child, "close").then(([code]) => code);
    return child;
}

async function end(child) {
    child.kill("SIGTERM");
    try {
        assert.equal(await within(child.ending, child.name), 0, child.complaints);
    } finally {
        child.kill("SIGKILL");
    }
}

let broker;
let endpoint;

before(async () => {
    broker = start("mdbroker", "--bind", "tcp://127.0.0.1:*", "--heartbeat", `${HEARTBEAT}`);
    const lines = createInterface({ input: broker.stderr });
    endpoint = await within(new Promise((resolve, reject) => {
        lines.on("line", (line) => {
            const found = line.match(/^mdbroker: ready on (\S+)/);
            if (found) {
                resolve(found[1]);
            }
        });
        lines.on("close", () => reject(new Error(`mdbroker: ${broker.complaints}`)));
    }), "mdbroker");
});

after(() => broker && end(broker));

// Makes a peer that ends with the test t.
function client(t, Kind) {
    const made = new Kind(endpoint);
    t.after(() => made.close());
    return made;
}

async function serve(t, Kind, service, handler) {
    const worker = new Kind(endpoint, service, handler, { heartbeat: HEARTBEAT });
    t.after(() => worker.ended || worker.stop());
    await untilRegistered(t, service);
    return worker;
}

async function untilRegistered(t, service) {
    const asking = client(t, Client01);
    const deadline = Date.now() + DEADLINE;
    for (;;) {
        const { body: [code] } = await asking.call("mmi.service", [Buffer.from(service)]);
        if (code.toString() === "200") {
            return;
        }
        assert.ok(Date.now() < deadline, `${service} is not registered in time`);
        await pause(10);
    }
}

const echo = (body) => ({ body });
const unique = (...names) => ["node", ...names, randomBytes(4).toString("hex")].join(".");

for (const [workerName, Kind] of Object.entries(WORKERS)) {
    for (const [clientName, Client] of Object.entries(CLIENTS)) {
        test(`a ${clientName} client and a ${workerName} worker`, async (t) => {
            const service = unique(clientName.replace(" ", "-"), workerName);
            await serve(t, Kind, service, echo);
            const asking = client(t, Client);
            for (const body of BODIES) {
                const answer = await asking.call(service, body);
                assert.deepEqual(answer, { status: 200, partials: [], body });
            }
        });
    }
}

for (const [clientName, Client] of Object.entries(CLIENTS)) {
    test(`PARTIALs reach a ${clientName} client`, async (t) => {
        const service = unique(clientName.replace(" ", "-"));
        const parts = ["a", "b"].map((text) => [Buffer.from(text), Buffer.alloc(0)]);
        const last = [Buffer.from("end")];
        await serve(t, Worker02, service, () => ({ partials: parts, body: last }));
        const answer = await client(t, Client).call(service, [Buffer.from("Hi")]);
        const streams = !clientName.startsWith("0.1");
        assert.deepEqual(answer.partials, streams ? parts : []);
        assert.deepEqual(answer.body, streams ? last : [...parts.flat(), ...last]);
    });
}

test("mmi names", async (t) => {
    for (const Client of Object.values(CLIENTS)) {
        const asking = client(t, Client);
        const ask = async (name, text) => (await asking.call(name, [Buffer.from(text)])).body
            .map(String);
        assert.deepEqual(await ask("mmi.service", unique()), ["404"]);
        assert.deepEqual(await ask("mmi.unknown", ""), ["501"]);
        assert.deepEqual(await ask("mmi.dialects", ""), ["200", "0.1 0.2 g1"]);
        assert.deepEqual(await ask("mmi.ping", "Hi"), ["200", "Hi"]);
    }
});

test("five hundred requests in packs", async (t) => {
    const service = unique();
    await serve(t, Worker02, service, echo);
    const bodies = Array.from({ length: 500 }, (_, n) => [Buffer.from(`${n}`)]);
    bodies[250] = [randomBytes(20000), Buffer.alloc(0)];
    const answers = await client(t, ClientG1).callAll(service, bodies);
    assert.deepEqual(answers.map((answer) => answer.body), bodies);
});

test("an idle worker lives by its heartbeats, and is served the broker's", async (t) => {
    for (const [name, Kind] of Object.entries(WORKERS)) {
        const service = unique(name);
        const worker = await serve(t, Kind, service, echo);
        const deadline = Date.now() + DEADLINE;
        while (worker.beats < 5) { // more than the broker's patience
            assert.ok(Date.now() < deadline, "no five heartbeats in time");
            await pause(10);
        }
        assert.equal(worker.disconnects, 0);
        const { body } = await client(t, Client01).call(service, BODIES[0]);
        assert.deepEqual(body, BODIES[0]);
    }
});

test("a worker that was disconnected comes back on a new socket", async (t) => {
    const service = unique();
    const worker = await serve(t, Worker01, service, echo);
    worker.put(worker.READY, Buffer.from(service)); // a second READY is a protocol error
    const deadline = Date.now() + DEADLINE;
    while (worker.disconnects < 1) {
        assert.ok(Date.now() < deadline, "no DISCONNECT in time");
        await pause(10);
    }
    const { body } = await client(t, Client01).call(service, BODIES[0]);
    assert.deepEqual(body, BODIES[0]);
});

test("a worker that is gone while busy loses no request", async (t) => {
    const service = unique();
    let taken;
    const busy = new Promise((resolve) => { taken = resolve; });
    const first = await serve(t, Worker01, service, () => {
        taken();
        return new Promise(() => {});
    });
    const answer = client(t, Client01).call(service, BODIES[0]);
    await within(busy, "the request");
    first.vanish();
    await serve(t, Worker02, service, (body) => ({ body: [Buffer.from("second"), ...body] }));
    assert.deepEqual((await answer).body, [Buffer.from("second"), ...BODIES[0]]);
});

test("mdclient with workers of ours in Node", async (t) => {
    for (const [name, Kind] of Object.entries(WORKERS)) {
        const service = unique(name);
        await serve(t, Kind, service, echo);
        for (const dialect of ["auto", "g1", "0.2", "0.1"]) {
            const child = start("mdclient", "--broker", endpoint, "--dialect", dialect, service,
                "Hello", "world");
            t.after(() => child.kill("SIGKILL"));
            assert.equal(await within(child.ending, "mdclient"), 0, child.complaints);
            assert.equal(child.printed, "Hello\nworld\n");
        }
    }
});

test("mdworker with clients of ours in Node", async (t) => {
    for (const dialect of ["auto", "g1", "0.2", "0.1"]) {
        const service = unique(dialect);
        const child = start("mdworker", "--broker", endpoint, "--heartbeat", `${HEARTBEAT}`,
            "--dialect", dialect, service);
        t.after(() => child.kill("SIGKILL"));
        await untilRegistered(t, service);
        for (const Client of Object.values(CLIENTS)) {
            const asking = client(t, Client);
            for (const body of BODIES) {
                assert.deepEqual((await asking.call(service, body)).body, body);
            }
        }
        await end(child);
    }
});
