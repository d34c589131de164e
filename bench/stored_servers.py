"""stored_servers.py - what is started for submit and durable: titanic, and its peers.

Each run has a fresh data folder on a file system that is a disk. The peers are Debian's; one that
is not installed is left out. All of them sync before they acknowledge.
"""

import glob
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile

from rpc_run import ANY_PORT, RunFailed, Server

IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")


class Disk:
    """A folder for data, made in `parent`; gone at the end. Use it in a with statement."""

    def __init__(self, parent):
        self.parent = os.path.abspath(parent)
        self.folder = None
        self.number = 0

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="galleon-bench.", dir=self.parent)
        os.chmod(self.folder, 0o755)            # PostgreSQL's user has to get through
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def file_system(self):
        """Its type: ext4, say."""
        best, kind = "", "unknown"
        with open("/proc/self/mounts", encoding="utf-8") as file:
            for line in file:
                _, mount, one = line.split()[:3]
                inside = os.path.join(self.parent, "").startswith(os.path.join(mount, ""))
                if inside and len(mount) >= len(best):
                    best, kind = mount, one
        return kind

    def is_in_memory(self):
        return self.file_system() in IN_MEMORY

    def fresh(self, name):
        """Another empty folder."""
        self.number += 1
        folder = os.path.join(self.folder, f"{self.number}-{name}")
        os.mkdir(folder)
        return folder


class StoredPrograms:
    """Ours, and where they are."""

    def __init__(self, build):
        for name in ("mdbroker", "titanic", "mdworker", "galleon"):
            setattr(self, name, os.path.join(build, name))
        for name in ("load_redis", "load_postgres", "store_bench"):
            setattr(self, name, os.path.join(build, "bench", name))

    def missing(self):
        return next((os.path.basename(path) for path in vars(self).values()
                     if not os.access(path, os.X_OK)), None)


# ---- What a server used -------------------------------------------------------------------------


def all_processes():
    """Yields (pid, parent, user + system ticks, with those of its ended children)."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                rest = file.read().rsplit(")", 1)[1].split()
        except OSError:                         # it has just ended
            continue
        yield int(name), int(rest[1]), sum(map(int, rest[11:15]))


def descendants(pid):
    """The process and all that it started: pid to ticks."""
    ticks, children = {}, {}
    for one, parent, used in all_processes():
        ticks[one] = used
        children.setdefault(parent, []).append(one)
    found, look = {}, [pid]
    while look:
        one = look.pop()
        if one in ticks:
            found[one] = ticks[one]
        look += children.get(one, [])
    return found


class StoredServer(Server):
    """A server whose helpers count as well, and whose store has a thread."""

    end_seconds = 20                            # it may have much to write yet
    kinds = ("main", "store", "io")

    def busy_seconds(self):
        return sum(descendants(self.process.pid).values()) / os.sysconf("SC_CLK_TCK")

    def kind_of(self, thread, name):
        if "ZMQ" in name:
            return "io"
        return "main" if thread == self.process.pid else "store"


# ---- Ours ---------------------------------------------------------------------------------------


def start_broker(programs, cpus):
    return StoredServer([programs.mdbroker, "--bind", ANY_PORT], cpus)


def start_titanic(programs, cpus, endpoint, path, more=()):
    command = [programs.titanic, "--broker", endpoint, "--store", f"sqlite:{path}", *more]
    return StoredServer(command, cpus)


# ---- Peers --------------------------------------------------------------------------------------


def free_port():
    """A port that nobody has just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Redis:
    """Started anew, with an empty folder, for each run."""

    def __init__(self):
        self.path = shutil.which("redis-server")

    def is_installed(self):
        return self.path is not None

    def version(self):
        said = subprocess.run([self.path, "--version"], capture_output=True, text=True, check=True)
        return "Redis " + re.search(r"v=([\d.]+)", said.stdout).group(1)

    def start(self, disk, cpus):
        """Gives the server and its port."""
        port = free_port()
        command = [self.path, "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                   "--appendonly", "yes", "--appendfsync", "always",
                   "--auto-aof-rewrite-percentage", "0", "--dir", disk.fresh("redis")]
        return StoredServer(command, cpus, "Ready to accept connections"), port


class Postgres:
    """A cluster of its own, made once; the server is started for each run, and never as root."""

    def __init__(self):
        found = shutil.which("initdb") or max(glob.glob("/usr/lib/postgresql/*/bin/initdb"),
                                              default=None)
        self.folder = os.path.dirname(os.path.realpath(found)) if found else None
        self.data = None

    def is_installed(self):
        return self.folder is not None

    def version(self):
        said = subprocess.run([os.path.join(self.folder, "postgres"), "--version"],
                              capture_output=True, text=True, check=True)
        return "PostgreSQL " + re.search(r"[\d.]+", said.stdout).group(0)

    @staticmethod
    def user():
        """Who it runs as: None for ourselves."""
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            try:
                return pwd.getpwnam(name)
            except KeyError:
                continue
        raise RunFailed("PostgreSQL refuses to run as root, and there is nobody else")

    def options(self):
        user = self.user()
        if user is None:
            return {}
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}

    def make_cluster(self, disk):
        data, user = disk.fresh("postgres"), self.user()
        if user is not None:
            os.chown(data, user.pw_uid, user.pw_gid)
        made = subprocess.run([os.path.join(self.folder, "initdb"), "-D", data, "-U", "postgres",
                               "-A", "trust", "-E", "UTF8", "--locale=C"], capture_output=True,
                              text=True, check=False, **self.options())
        if made.returncode != 0:
            raise RunFailed(f"initdb: {made.stderr.strip()}")
        self.data = data

    def start(self, disk, cpus):
        """Gives the server and its port."""
        if self.data is None:
            self.make_cluster(disk)
        port = free_port()
        command = [os.path.join(self.folder, "postgres"), "-D", self.data, "-p", str(port)]
        for setting in ("listen_addresses=127.0.0.1", "unix_socket_directories=",
                        "shared_buffers=256MB", "max_wal_size=4GB", "fsync=on",
                        "synchronous_commit=on"):
            command += ["-c", setting]
        server = StoredServer(command, cpus, "ready to accept connections", **self.options())
        return server, port
