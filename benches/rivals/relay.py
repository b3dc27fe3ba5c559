"""One relay under test. What differs between relays is an adapter in peers/: it fills in the methods that come first here.

Every relay listens on 127.0.0.1 and has a configuration and a spool of its own under the folder of the comparison.
"""
import glob
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from group import Group

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get("RIVALS_ROOT", "/tmp/rivals")
RUN = os.path.join(ROOT, "run")
SLOW = os.path.join(ROOT, "slow/fs/run")  # on a disk whose flushes take time: prepare FOLDER slow
BACKLOG = {"LD_PRELOAD": os.path.join(ROOT, "bin/backlog.so")}  # see backlog.c
_port = 20000 + (os.getpid() * 37) % 8000


def new_port():
    """A port that is free now; a fresh one each time, so that TIME_WAIT does not matter."""
    global _port
    while True:
        _port = _port + 1 if _port < 31000 else 20000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _port))
                return _port
            except OSError:
                pass


class Relay:
    name = "?"
    most_drained = None    # messages in the drain cells, where a relay is slow
    cells = ""             # which cells it can be measured in: a regular expression

    def why_not(self):
        """Why it cannot run here, if so."""

    def version(self):
        return "?"

    def setup(self, mode):
        """Writes the configuration: "accept" takes mail and relays none, "relay" does both."""

    def argv(self):
        """The receiver, in the foreground."""
        raise NotImplementedError

    def others(self):
        """Command lines of what runs beside it."""
        return []

    def queued(self):
        """Messages in the spool."""
        raise NotImplementedError

    def env(self):
        return None

    def kick(self):
        """Starts a queue run, in the drain cells."""

    def wipe(self):
        shutil.rmtree(self.spool, ignore_errors=True)

    # What the cells use.

    def __init__(self):
        self.place(RUN)
        self.port = self.sink_port = 0
        self.mode, self.connections, self.proc, self.group = None, 100, None, None

    def place(self, run):
        """Whose disk its spool and its log are on from the next start."""
        self.dir = os.path.join(run, self.name)
        self.spool = os.path.join(self.dir, "spool")

    def start(self, mode, sink_port, connections=100, keep=False):
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        if not keep:
            self.wipe()
        self.mode, self.port, self.sink_port, self.connections = mode, new_port(), sink_port, connections
        self.setup(mode)
        self.group = Group(self.name)
        self.group.kill()  # what an interrupted run left in this relay's own group
        self.proc = self.spawn(self.argv(), "wb")
        self.started = time.monotonic()
        self.wait_for_banner()
        for argv in self.others():
            self.spawn(argv, "ab")

    def wait_for_banner(self):
        deadline = self.started + 30
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as client:
                    if client.recv(256).startswith(b"220"):
                        self.banner_after = time.monotonic() - self.started
                        client.sendall(b"QUIT\r\n")
                        client.recv(100)
                        return
            except OSError:
                time.sleep(0.0003)
        self.stop()
        raise RuntimeError(f"{self.name}: no banner in 30 s; see {self.dir}")

    def spawn(self, argv, how="ab"):
        with open(os.path.join(self.dir, "stdout.log"), how) as log:
            proc = subprocess.Popen(argv, env=self.env(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    preexec_fn=self.group.enter, start_new_session=True, cwd=self.dir)
        self.group.roots.append(proc.pid)
        return proc

    def stop(self):
        for pid in self.group.roots:
            try:
                os.kill(pid, signal.SIGTERM)
            except OSError:
                pass
        end = time.monotonic() + 8
        while self.group.pids() and time.monotonic() < end:
            self.reap()
            time.sleep(0.01)
        self.group.kill(self.proc)
        self.reap()
        self.group.close()

    def reap(self):
        for pid in list(self.group.roots):
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    self.group.roots.remove(pid)
            except OSError:
                self.group.roots.remove(pid)


def files_below(folder, fits=lambda name: True):
    return sum(1 for _, _, names in os.walk(folder) for name in names if fits(name))


def load_relays(names):
    """The relays of these names, in this order; the ones that cannot run here are told and left out."""
    sys.path.insert(0, HERE)
    known = {}
    for file in sorted(glob.glob(os.path.join(HERE, "peers", "*.py"))):
        spec = importlib.util.spec_from_file_location("peer_" + os.path.basename(file)[:-3], file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        relay = module.relay()
        known[relay.name] = relay
    missing = [name for name in names if name not in known]
    if missing:
        sys.exit("unknown relay: " + ", ".join(missing) + "; there are " + ", ".join(known))
    usable = []
    for relay in (known[name] for name in names):
        reason = relay.why_not()
        if reason:
            print(f"{relay.name}: left out: {reason}", file=sys.stderr)
        else:
            usable.append(relay)
    return usable
