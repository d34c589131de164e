"""stored_run.py - runs one cell of submit or durable, and sees to it that nothing was lost.

Everything may use all CPUs: the disk, not the scheduler, is what most of it waits for.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time

from rpc_cells import FREE
from rpc_run import RunFailed, busy_seconds_of_ended, run_load, run_to_end
from stored_cells import (AUDITED, CREDIT, DURABLE, ECHO, OURS, PLAIN, POSTGRES, POSTGRES_ONE,
                          REDIS, SYNC, WORKERS)
from stored_servers import (Postgres, Redis, StoredServer, descendants, start_broker,
                            start_titanic)

ECHO_SERVICE = "bench.echo"
SYNC_BYTES = 100
WORKER_SECONDS = 10         # until a worker serves
STRACE_SECONDS = 10
# How many are traced: by window.
TRACED = {1: 500, 100: 20_000}


class Worker(StoredServer):
    """mdworker, from its first answer on. It says nothing by itself."""

    def __init__(self, bench, broker, service, threads):
        self.bench, self.broker, self.service = bench, broker, service
        super().__init__([bench.programs.mdworker, "--broker", broker.endpoints[0], "--threads",
                          str(threads), "--credit", str(CREDIT), service], bench.cpus)

    def wait_until_ready(self):
        until = time.monotonic() + WORKER_SECONDS
        while time.monotonic() < until:
            command = self.bench.galleon(self.broker, "call", self.service, "--attempts", "1")
            if run_to_end(command, self.bench.cpus, 1)[0] == 0:
                return []
            time.sleep(0.05)
        raise RunFailed(f"no worker serves {self.service}")


class Bench:
    """What a run needs: programs, peers, disk and CPUs."""

    def __init__(self, programs, machine, disk, seconds):
        self.programs, self.machine, self.disk, self.seconds = programs, machine, disk, seconds
        self.cpus = machine.server_cpus(FREE)
        self.peers = {REDIS: Redis(), POSTGRES: Postgres()}
        self.peers[POSTGRES_ONE] = self.peers[POSTGRES]

    def has(self, system):
        return system not in self.peers or self.peers[system].is_installed()

    def versions(self):
        return [peer.version() for name, peer in self.peers.items()
                if name != POSTGRES_ONE and peer.is_installed()]

    def run(self, cell, requests=None, around=contextlib.nullcontext):
        """Measures one cell once, and gives its figures. `around` is entered with the server for as
        long as the load runs; `requests` are made instead of as many as the time allows."""
        if cell.system == SYNC:
            return self.run_sync()
        extent = ["--requests", str(requests)] if requests else ["--seconds", str(self.seconds)]
        if cell.system == ECHO:
            return self.run_echo(extent)
        if cell.system in OURS:
            return self.run_ours(cell, extent, around)
        return self.run_peer(cell, extent, around)

    # ---- the disk, and the broker alone --------------------------------------------------------

    def run_sync(self):
        """Appends to a growing file, and syncs each time."""
        path = os.path.join(self.disk.fresh("sync"), "file")
        took, block = [], b"x" * SYNC_BYTES
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + self.seconds / 2
        while time.monotonic() < until:
            began = time.perf_counter()
            os.write(file, block)
            os.fdatasync(file)
            took.append(1e6 * (time.perf_counter() - began))
        os.close(file)
        took.sort()
        return {"rate": 1e6 * len(took) / sum(took), "p50_us": took[len(took) // 2],
                "p99_us": took[len(took) * 99 // 100]}

    def run_echo(self, extent):
        with start_broker(self.programs, self.cpus) as broker:
            with Worker(self, broker, ECHO_SERVICE, 1) as worker:
                command = self.galleon(broker, "bench", "call", ECHO_SERVICE, "--window", "1",
                                       *extent)
                return self.measured({"mdbroker": broker, "mdworker": worker},
                                     lambda: self.run_galleon(command))

    # ---- ours ----------------------------------------------------------------------------------

    def galleon(self, broker, *words):
        return [self.programs.galleon, *words, "--broker", broker.endpoints[0], "--json"]

    def run_galleon(self, command):
        code, out, err = run_to_end(command, self.cpus, self.seconds)
        try:
            said = json.loads(out)
        except ValueError:
            said = {}
        if code != 0 or said.get("lost") != 0 or not said.get("answers"):
            raise RunFailed(err.strip() or out.strip() or f"exit code {code}")
        return {"rate": said["rate"], "p50_us": 1000 * said["p50_ms"], "answers": said["answers"],
                "p99_us": 1000 * said["p99_ms"], "seconds": said["seconds"]}

    def run_ours(self, cell, extent, around):
        path = os.path.join(self.disk.fresh("titanic"), "titanic.db")
        more = ("--audit", "off") if cell.system == PLAIN else ()
        with contextlib.ExitStack() as stack:
            broker = stack.enter_context(start_broker(self.programs, self.cpus))
            titanic = stack.enter_context(start_titanic(self.programs, self.cpus,
                                                        broker.endpoints[0], path, more))
            figures = self.run_against_titanic(cell, broker, titanic, extent, around)
        for server in (broker, titanic):
            if server.process.returncode != 0:
                raise RunFailed(f"{os.path.basename(server.command[0])} ended with "
                                f"{server.process.returncode}")
        shutil.rmtree(os.path.dirname(path))
        return figures

    def run_against_titanic(self, cell, broker, titanic, extent, around=contextlib.nullcontext):
        """The load, and what titanic says of it."""
        service = cell.service()
        command = self.galleon(broker, "bench", cell.work, service, "--window", str(cell.window),
                               "--size", str(cell.body), *extent)
        with contextlib.ExitStack() as stack:
            servers = {"mdbroker": broker, "titanic": titanic}
            if cell.work == DURABLE:
                servers["mdworker"] = stack.enter_context(Worker(self, broker, service, WORKERS))
            before = self.stats(broker)
            with around(titanic):
                figures = self.measured(servers, lambda: self.run_galleon(command))
            after = self.stats(broker)
        commits = after["", "commits"] - before["", "commits"]
        check_stored(cell, figures, before, after, commits)
        figures["per_commit"] = figures["answers"] / commits
        return figures

    def stats(self, broker):
        """What titanic says of itself: (service, name) to value; no service: of all."""
        code, out, err = run_to_end(self.galleon(broker, "stat"), self.cpus, 1)
        if code != 0:
            raise RunFailed(f"galleon stat: {err.strip()}")
        return {(row["service"], row["name"]): number_of(row["value"])
                for row in json.loads(out) if "service" in row}

    # ---- peers ---------------------------------------------------------------------------------

    def run_peer(self, cell, extent, around):
        server, port = self.peers[cell.system].start(self.disk, self.cpus)
        load = self.programs.load_redis if cell.system == REDIS else self.programs.load_postgres
        command = [load, cell.work, "--port", str(port), "--window", str(cell.window), "--body",
                   str(cell.body), "--workers", str(WORKERS), *extent]
        if cell.system == POSTGRES_ONE:
            command.append("--one")
        with server, around(server):
            figures = self.measured({cell.system: server},
                                    lambda: run_load(command, self.cpus, self.seconds))
        figures["answers"] = figures["requests"]
        return figures

    # ---- what it costs -------------------------------------------------------------------------

    def measured(self, servers, run):
        """Runs the load; adds what each server used, and what anything else had of all CPUs."""
        began, used, ended = time.monotonic(), usage(servers), busy_seconds_of_ended()
        machine = self.machine.busy_seconds()
        figures = run()
        for name, server in servers.items():
            if not server.is_running():
                raise RunFailed(f"{name} ended: {server.said().strip()}")
        machine = self.machine.busy_seconds() - machine
        took, now = time.monotonic() - began, usage(servers)
        load = busy_seconds_of_ended() - ended
        used = {name: now[name] - used[name] for name in now}
        whole = {name: used[name] for name in servers}
        for name in servers:
            figures[f"{name}/busy"] = whole[name] / took
        figures["load/busy"] = load / took
        others = machine - load - sum(whole.values())
        figures["others"] = max(0, others / took / os.cpu_count())
        for name, seconds in used.items():
            if "/" in name and figures.get("answers"):
                figures[f"{name}/us"] = 1e6 * seconds / figures["answers"]
        return figures


def number_of(value):
    """Numbers as such; what else there is as it stands."""
    text = str(value)
    return int(text) if re.fullmatch(r"\d+", text) else text


def usage(servers):
    """CPU seconds so far: of each server by its name, and of each thread by
    server/thread/program and server/thread/kernel."""
    used = {}
    for name, server in servers.items():
        used[name] = server.busy_seconds()
        for kind, (program, kernel) in server.thread_seconds().items():
            used[f"{name}/{kind}/program"], used[f"{name}/{kind}/kernel"] = program, kernel
    return used


def check_stored(cell, figures, before, after, commits):
    """An acknowledgement means a commit, and a commit means a sync: no commit can hold more than
    the window, nor may titanic have fewer requests than it acknowledged."""
    if after["", "durability"] != "full":
        raise RunFailed(f"durability is {after['', 'durability']}")
    name = "done" if cell.work == DURABLE else "pending"
    there = after.get((cell.service(), name), 0) - before.get((cell.service(), name), 0)
    if there < figures["answers"]:
        raise RunFailed(f"{figures['answers']} were acknowledged, {there} are {name}")
    if commits * cell.window < figures["answers"]:
        raise RunFailed(f"{figures['answers']} acknowledgements in {commits} commits")


# ---- Does an acknowledgement mean a sync? -------------------------------------------------------


class Tracer:
    """Counts the calls to fsync and fdatasync of a server while it stands around a load."""

    def __init__(self, disk):
        self.disk = disk
        self.syncs = 0

    @contextlib.contextmanager
    def around(self, server):
        path = os.path.join(self.disk.fresh("strace"), "calls")
        command = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", path]
        for pid in descendants(server.process.pid):
            command += ["-p", str(pid)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_until_traced(server.process.pid, process)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
        with open(path, encoding="utf-8", errors="replace") as file:
            self.syncs = len(re.findall(r"\bf(?:data)?sync\(", file.read()))


def wait_until_traced(pid, tracer):
    until = time.monotonic() + STRACE_SECONDS
    while time.monotonic() < until and tracer.poll() is None:
        tasks = os.listdir(f"/proc/{pid}/task")
        if all(is_traced(pid, task) for task in tasks):
            return
        time.sleep(0.01)
    raise RunFailed("strace may not look at the server")


def is_traced(pid, task):
    with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as file:
        return "TracerPid:\t0\n" not in file.read()


def trace(bench, cell):
    """Gives (acknowledgements, syncs) of a short run of this cell."""
    tracer = Tracer(bench.disk)
    figures = bench.run(cell, TRACED[cell.window], tracer.around)
    return int(figures["answers"]), tracer.syncs


def traced_cells(cells):
    """Which cells are worth it: ours as it is by default, and each peer."""
    return [cell for cell in cells if cell.system in (AUDITED, REDIS, POSTGRES)
            and cell.window in TRACED and cell.body == SYNC_BYTES]
