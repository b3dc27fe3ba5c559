"""What is measured: each cell starts a relay anew, and answers numbers by name.

A relay that is too slow for the number of messages is cut off and rated by what it had done (`capped`).
"""
import os
import re
import resource
import socket
import statistics
import subprocess
import time

from group import Sampler
from load import Load, Sink, mono
from relay import RUN, SLOW

ACCEPT_CAP = 10  # seconds of one accept cell
CAP = 15         # seconds of one other cell
MIB = 1 << 20


def flushes(relay):
    """How often the disk of a relay's spool was told to write its cache out."""
    device = os.stat(relay.dir).st_dev
    with open(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat") as file:
        return int(file.read().split()[15])


def costs(result, relay, sampler, messages):
    result["cpu"] = relay.group.cpu() * 1000 / max(1, messages)
    result["flushes"] = (flushes(relay) - sampler.flushes) / max(1, messages)
    sampler.finish()
    result["pss"] = sampler.peak


def begin(relay, sink, **how):
    relay.start("relay" if "connections" in how else "accept", sink.port, **how)
    os.sync()
    sampler = Sampler(relay.group)
    sampler.flushes = flushes(relay)
    relay.group.reset()
    sampler.start()
    return sampler


def accept(relay, sink, messages, sessions, size, keep):
    """Messages per second until the last 250; nothing is relayed."""
    sampler = begin(relay, sink)
    load = Load(relay.port, messages, sessions, size, keep)
    error = load.join(ACCEPT_CAP)
    done = relay.queued() if load.capped else messages
    result = {"rate": done / load.seconds(), "load_cpu": load.cpu, "capped": load.capped}
    costs(result, relay, sampler, done)
    time.sleep(0.1)
    spooled = relay.queued()
    if error or not load.capped and spooled != messages:
        result["error"] = error or f"{spooled} of {messages} in the spool"
    return result


def wait_until_empty(relay, sink, messages, end):
    """Until the sink has so many different messages and the spool is empty."""
    while sink.counts()["unique"] < messages and mono() < end:
        time.sleep(0.005)
    got_all = sink.counts()["unique"] >= messages
    while got_all and relay.queued() and mono() < end:
        time.sleep(0.01)
    return got_all, mono()


def end_to_end(relay, sink, messages, sessions, keep, connections):
    """From the first connection until the sink has every message and the spool is empty."""
    sampler = begin(relay, sink, connections=connections)
    load = Load(relay.port, messages, sessions, 4096, keep)
    error = load.join(CAP)
    got_all, end = wait_until_empty(relay, sink, messages, load.begin + CAP)
    sunk = sink.counts()
    seconds = end - load.begin
    result = {"rate": sunk["unique"] / seconds, "load_cpu": load.cpu, "sink_cpu": sink.cpu(), "capped": not got_all,
              "accepted": messages / load.seconds(), "twice": sunk["messages"] - sunk["unique"], "most": sunk["max"]}
    costs(result, relay, sampler, sunk["unique"])
    if error:
        result["error"] = error
    return result


def drain(relay, sink, messages, connections):
    """The spool is full; the relay starts: messages per second between the first and the last at the sink."""
    messages = min(messages, relay.most_drained or messages)
    relay.start("accept", sink.port)
    error = Load(relay.port, messages, 10, 4096, True).join(60)
    time.sleep(0.2)
    full = relay.queued()
    relay.stop()
    if error or full != messages:
        return {"error": error or f"{full} of {messages} in the spool"}
    sampler = begin(relay, sink, connections=connections, keep=True)
    relay.kick()
    got_all, _ = wait_until_empty(relay, sink, messages, mono() + CAP)
    sunk = sink.counts()
    span = (sunk["last_ns"] - sunk["first_ns"]) / 1e9
    result = {"rate": (sunk["unique"] - 1) / span if span > 0 else 0, "sink_cpu": sink.cpu(), "capped": not got_all,
              "twice": sunk["messages"] - sunk["unique"], "most": sunk["max"]}
    costs(result, relay, sampler, sunk["unique"])
    if not sunk["unique"]:
        result["error"] = "nothing was delivered"
    return result


def idle(relay, sink, steps):
    """From the start to the banner; memory at rest, and with so many idle sessions after EHLO."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(steps) + 500,) * 2)
    relay.start("accept", sink.port)
    result = {"banner_ms": relay.banner_after * 1000}
    time.sleep(1)
    result["pss_0"] = relay.group.pss()
    relay.group.reset()
    time.sleep(1)
    result["idle_cpu"] = relay.group.cpu() * 1000
    sessions = []
    for wanted in steps:
        while len(sessions) < wanted and open_session(relay.port, sessions):
            pass
        if len(sessions) < wanted:
            result[f"pss_{wanted}_taken"] = len(sessions)
            break
        time.sleep(0.5)
        result[f"pss_{wanted}"] = relay.group.pss()
    for session in sessions:
        session.close()
    argv = getattr(relay, "one_session", lambda: None)()
    if argv:
        result["one_session_ms"] = statistics.median(banner_of_one(argv, relay.dir) for _ in range(25))
    return result


def open_session(port, sessions):
    try:
        session = socket.create_connection(("127.0.0.1", port), 5)
        sessions.append(session)
        if session.recv(512).startswith(b"220"):
            session.sendall(b"EHLO client.example\r\n")
            return re.search(rb"^250[ -]", session.recv(2048)) is not None
    except OSError:
        pass
    sessions.pop()
    return False


def banner_of_one(argv, folder):
    """From the start of a process that serves one session to its banner, in ms."""
    ours, its = socket.socketpair()
    with ours, its:
        ours.settimeout(5)
        proc = subprocess.Popen(argv, stdin=its, stdout=its, stderr=subprocess.DEVNULL, cwd=folder, close_fds=True)
        begun = mono()
        its.close()
        ours.recv(512)
        taken = (mono() - begun) * 1000
        ours.sendall(b"QUIT\r\n")
    proc.wait()
    return taken


def plan(what, quick):
    """Name, function, arguments, and how many ms late the sink replies, of each cell."""
    share = 4 if quick else 1
    cells = []
    if "accept" in what:
        for sessions, keep in ((10, False), (10, True), (100, False), (100, True), (500, True)):
            name = f"accept 4 KiB, {sessions} sessions, {'many' if keep else 'one'} per connection"
            cells.append((name, accept, (4000 // share, sessions, 4096, keep), 0))
        cells.append(("accept 20 KiB, 10 sessions, many per connection", accept, (4000 // share, 10, 20 << 10, True), 0))
        cells.append(("accept 1 MiB, 10 sessions", accept, (400 // share, 10, MIB, True), 0))
    if "e2e" in what:
        for sessions in (10, 100):
            for keep in (False, True):
                name = f"end to end 4 KiB, {sessions} sessions, {'many' if keep else 'one'} per connection"
                cells.append((name, end_to_end, (3000 // share, sessions, keep, 100), 0))
    if "drain" in what:
        cells.append(("drain, sink at once", drain, (2000 // share, 100), 0))
        for connections in (100, 20):
            name = f"drain, replies 20 ms late, {connections} connections"
            cells.append((name, drain, (2000 // share, connections), 20))
    if "slow" in what:
        for sessions, messages in ((1, 200), (10, 1000), (100, 3000)):
            of = f"{sessions} session{'s' * (sessions > 1)}"
            cells.append((f"slow flush, accept 4 KiB, {of}", accept, (messages // share, sessions, 4096, True), 0))
        for sessions, messages in ((1, 200), (10, 1000), (100, 3000)):
            of = f"{sessions} session{'s' * (sessions > 1)}"
            cells.append((f"slow flush, end to end 4 KiB, {of}", end_to_end, (messages // share, sessions, True, 100), 0))
        for connections, messages in ((1, 500), (10, 2000)):
            of = f"{connections} connection{'s' * (connections > 1)}"
            cells.append((f"slow flush, drain, {of}", drain, (messages // share, connections), 0))
    if "filters" in what:
        for sessions, keep in ((10, False), (10, True), (100, True)):
            name = f"filters, accept 4 KiB, {sessions} sessions, {'many' if keep else 'one'} per connection"
            cells.append((name, accept, (2000 // share, sessions, 4096, keep), 0))
    if "idle" in what:
        cells.append(("idle", idle, ((1000,) if quick else (1000, 10000),), 0))
    return cells


def measure(relay, cell, function, arguments, delay):
    """Runs a cell; whatever happens, nothing is left running."""
    sink = Sink(delay)
    relay.place(SLOW if cell.startswith("slow flush") else RUN)
    try:
        return function(relay, sink, *arguments)
    except Exception as error:  # told in the report, and the others go on
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        try:
            if relay.group:
                relay.stop()
        finally:
            sink.close()
