"""rpc_run.py - runs one cell: starts a server and the load, reads what the load says, ends both.

Nothing is ended but what was started here, by its own number.
"""

import os
import platform
import re
import resource
import signal
import subprocess
import tempfile
import time

from rpc_cells import FREE, RELAY, SERVICES_LIMIT, SPLIT

ANY_PORT = "tcp://127.0.0.1:*"
READY = r"ready on (.+)\n"
READY_SECONDS = 20
LOAD_SECONDS = 60           # beyond what it measures
END_SECONDS = 3             # after each request to end


class RunFailed(Exception):
    """A run that gave no figure, or one that must not be used."""


class Programs:
    """The programs that are started, and where they are."""

    ready = READY

    def __init__(self, build, broker):
        self.relay = os.path.join(build, "bench", "relay")
        self.load = os.path.join(build, "bench", "load")
        self.broker = broker or os.path.join(build, "mdbroker")

    def missing(self):
        """The name of the first that is not there, or None."""
        for path in (self.relay, self.load, self.broker):
            if not os.access(path, os.X_OK):
                return os.path.basename(path)
        return None

    def libzmq(self):
        said = subprocess.run([self.load, "--version"], capture_output=True, text=True, check=True)
        return said.stdout.split("libzmq")[-1].strip()

    def server_command(self, system):
        if system == RELAY:
            return [self.relay, ANY_PORT, ANY_PORT]
        return [self.broker, "--services-limit", str(SERVICES_LIMIT), "--bind", ANY_PORT]


class Machine:
    """The CPUs that may be used, and what is worth knowing of the machine: nothing private."""

    def __init__(self):
        self.cpus = sorted(os.sched_getaffinity(0))

    def has_place(self, place):
        return place != SPLIT or len(self.cpus) > 1

    def server_cpus(self, place):
        return set(self.cpus) if place == FREE else {self.cpus[0]}

    def load_cpus(self, place):
        return {self.cpus[1]} if place == SPLIT else self.server_cpus(place)

    def model(self):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.MULTILINE)
        return found.group(1) if found else platform.machine()

    def cores(self):
        return len(self.cpus)

    def kernel(self):
        return platform.release().split("-")[0]

    def busy_seconds(self):
        """What all CPUs were busy so far, and what the host of a virtual machine kept of them."""
        with open("/proc/stat", encoding="utf-8") as file:
            user, nice, system, _, _, *more = map(int, file.readline().split()[1:9])
        return (user + nice + system + sum(more)) / os.sysconf("SC_CLK_TCK")


# ---- Servers ------------------------------------------------------------------------------------


class Server:
    """A relay or a broker, from `ready` to its end. Use it in a with statement.

    `ready` is what it says then; `options` go to start()."""

    end_seconds = END_SECONDS
    kinds = ("io", "main")
    load_arguments = ()         # what the load has to be told besides

    def __init__(self, command, cpus, ready=READY, **options):
        self.command, self.cpus, self.ready, self.options = command, cpus, ready, options
        self.process = self.log = None
        self.endpoints = []

    def __enter__(self):
        self.log = tempfile.TemporaryFile("a+", encoding="utf-8", errors="replace")
        self.process = start(self.command, self.cpus, stdout=self.log, stderr=self.log,
                             **self.options)
        try:
            self.endpoints = self.wait_until_ready()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def wait_until_ready(self):
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            found = re.search(self.ready, self.said())
            if found:
                return " ".join(found.groups()).split()
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        raise RunFailed(f"{os.path.basename(self.command[0])} did not start: {self.said().strip()}")

    def end(self):
        """Asks twice, as an operator would, then insists."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
            try:
                self.process.wait(self.end_seconds)
                break
            except subprocess.TimeoutExpired:
                continue
        self.log.close()

    def is_running(self):
        return self.process.poll() is None

    def busy_seconds(self):
        """What it has used of the CPUs so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            user, system = file.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def thread_seconds(self):
        """What its threads have used so far, by what they do: (program, kernel)."""
        used = {kind: [0, 0] for kind in self.kinds}
        folder = f"/proc/{self.process.pid}/task"
        for thread in os.listdir(folder):
            with open(f"{folder}/{thread}/stat", encoding="utf-8") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
            times = used[self.kind_of(int(thread), name)]
            for i, ticks in enumerate(rest.split()[11:13]):
                times[i] += int(ticks) / os.sysconf("SC_CLK_TCK")
        return used

    def kind_of(self, _thread, name):
        """Libzmq's I/O threads together, and all others."""
        return "io" if "/IO/" in name else "main"

    def memory_kb(self):
        """What it has in memory now."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"^VmRSS:\s*(\d+)", file.read(), re.MULTILINE).group(1))


def start(command, cpus, **options):
    """Starts a program on some CPUs, in a session of its own: Ctrl-C reaches us alone."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True,
                            preexec_fn=lambda: os.sched_setaffinity(0, cpus), **options)


# ---- The load -----------------------------------------------------------------------------------


def run_to_end(command, cpus, seconds):
    """Runs a load; gives its exit code, and what it said on both streams."""
    process = start(command, cpus, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=seconds + LOAD_SECONDS)
    except subprocess.TimeoutExpired:
        raise RunFailed("the load did not end") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return process.returncode, out, err


def run_load(command, cpus, seconds):
    """Runs the load and gives what it said, by name; numbers as floats."""
    code, out, err = run_to_end(command, cpus, seconds)
    said = dict(re.findall(r"(\w+)=([\d.]+)(?=\s)", out))
    if code != 0 or "rate" not in said:
        raise RunFailed(err.strip() or out.strip() or f"exit code {code}")
    return {name: float(value) for name, value in said.items()}


def load_command(programs, server, arguments):
    command = [programs.load, *arguments, "--to", server.endpoints[0],
               "--server-pid", str(server.process.pid)]
    if len(server.endpoints) > 1:
        command += ["--workers-to", server.endpoints[1]]
    return [*command, *server.load_arguments]


def busy_seconds_of_ended():
    """What the programs that we started, and that have ended, used of the CPUs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_cell(cell, programs, machine, arguments):
    """Measures one cell once, and sees to it that a broker ends as it should."""
    command = programs.server_command(cell.server())
    with Server(command, machine.server_cpus(cell.place), programs.ready) as server:
        figures = run_against(server, cell, programs, machine, arguments)
    if cell.system != RELAY and server.process.returncode != 0:
        raise RunFailed(f"asked to end, the broker did so with {server.process.returncode}")
    return figures


def run_against(server, cell, programs, machine, arguments):
    """Runs the load. `others` is the part of all CPUs that was used by anything else."""
    command = load_command(programs, server, cell.arguments())
    command += ["--warmup", str(arguments.warmup), "--measure", str(arguments.measure)]
    began = time.monotonic()
    ours = -server.busy_seconds() - busy_seconds_of_ended()
    others = -machine.busy_seconds()
    threads = server.thread_seconds()
    figures = run_load(command, machine.load_cpus(cell.place), arguments.measure / 1000)
    if not server.is_running():
        raise RunFailed(f"the server ended: {server.said().strip()}")
    ours += server.busy_seconds() + busy_seconds_of_ended()
    others += machine.busy_seconds() - ours
    add_profile(figures, threads, server.thread_seconds())
    figures["others"] = max(0, others / (time.monotonic() - began) / os.cpu_count())
    return figures


def add_profile(figures, before, after):
    """Shares what the server used for one round trip, in microseconds, out among its threads."""
    used = {(kind, side): after[kind][i] - before[kind][i]
            for kind in after for i, side in enumerate(("program", "kernel"))}
    whole = sum(used.values())
    each = figures["server_cpu"] / figures["rate"] * 1e6
    for (kind, side), seconds in used.items():
        figures[f"{kind}_{side}_us"] = each * seconds / whole if whole else 0


# ---- Memory -------------------------------------------------------------------------------------


def measure_memory(programs, machine, requests):
    """What mdbroker has in memory when idle, and after each of ten loads that make `requests`
    together, each with peers of its own."""
    loads = 10
    words = ["g1", "--clients", "4", "--workers", "4", "--window", "100", "--credit", "100",
             "--requests", str(requests // loads)]
    with Server(programs.server_command("g1"), machine.server_cpus(FREE)) as server:
        time.sleep(0.5)
        memory = {"idle": server.memory_kb(), "requests": requests, "after": []}
        for _ in range(loads):
            run_load(load_command(programs, server, words), machine.load_cpus(FREE),
                     requests / loads / 1000)
            time.sleep(0.1)
            memory["after"].append(server.memory_kb())
        return memory
