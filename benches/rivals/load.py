"""Both ends of the traffic: Postfix's smtp-source in front of a relay, and the sink (sink.c) behind it."""
import mmap
import os
import signal
import socket
import struct
import subprocess
import threading
import time

from group import TICKS, words_of_stat
from relay import ROOT, RUN, new_port

mono = time.monotonic
POSTFIX = os.path.join(ROOT, "postfix")


def postfix_env():
    return {**os.environ, "LD_LIBRARY_PATH": os.path.join(POSTFIX, "usr/lib/postfix")}


class Sink:
    """A next hop that takes everything, each reply `delay` ms late."""
    FIELDS = "messages unique bytes first_ns last_ns conns cur max quits".split()

    def __init__(self, delay=0):
        self.port = new_port()
        self.file = os.path.join(RUN, f"sink.{os.getpid()}.stats")
        argv = [os.path.join(ROOT, "bin/sink"), "-p", str(self.port), "-d", str(delay), "-s", self.file]
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        end = mono() + 5
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if mono() > end:
                    raise
                time.sleep(0.005)
        with open(self.file, "r+b") as file:
            self.counters = mmap.mmap(file.fileno(), 4096)

    def counts(self):
        return dict(zip(self.FIELDS, struct.unpack_from("9Q", self.counters, 0)))

    def cpu(self):
        return sum(map(int, words_of_stat(self.proc.pid)[11:13])) / TICKS

    def close(self):
        self.proc.kill()
        self.proc.wait()
        os.unlink(self.file)


class Load:
    """smtp-source, timed. A thread waits for it, so that its end is seen at once."""

    def __init__(self, port, messages, sessions, size, keep):
        argv = [os.path.join(POSTFIX, "usr/sbin/smtp-source"), "-s", str(sessions), "-m", str(messages), "-l", str(size),
                "-C", "100", "-f", "from@src.example", "-t", "to@dst.example", "-M", "client.example"]
        if keep:  # many messages over one connection
            argv.append("-d")
        self.begin = mono()
        self.proc = subprocess.Popen(argv + [f"127.0.0.1:{port}"], env=postfix_env(), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.end = self.cpu = self.code = None
        self.capped = False
        self.waiter = threading.Thread(target=self._wait, daemon=True)
        self.waiter.start()

    def _wait(self):
        _, status, usage = os.wait4(self.proc.pid, 0)
        self.end = mono()
        self.cpu = usage.ru_utime + usage.ru_stime
        self.proc.returncode = self.code = os.waitstatus_to_exitcode(status)

    def join(self, cap):
        """What went wrong, if anything; after `cap` seconds it is stopped, which is nothing wrong."""
        self.waiter.join(cap)
        if self.end is None:
            self.capped = True
            os.kill(self.proc.pid, signal.SIGKILL)
            self.waiter.join()
            return None
        if self.code:
            return "smtp-source: " + self.proc.stderr.read().decode("ascii", "replace").strip()[-200:]
        return None

    def seconds(self):
        return self.end - self.begin
