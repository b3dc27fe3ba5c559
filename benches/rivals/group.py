"""The processes of one relay, and what they cost: a control group (v2) where one can be made, else the process tree.

A group counts the time of processes that have ended, too; a tree misses those that init took over.
"""
import os
import re
import threading
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


def words_of_stat(pid):
    """The fields of /proc/PID/stat after the name: state, parent, ... user and system time at 11 and 12."""
    text = open(f"/proc/{pid}/stat").read()
    return text[text.rindex(")") + 2:].split()


class Group:
    """The processes of one relay."""

    def __init__(self, name):
        self.folder, self.roots = None, []
        try:
            mounts = [line.split(" - ")[0].split()[4] for line in open("/proc/self/mountinfo") if " - cgroup2 " in line]
            own = [line.strip().split("::", 1)[1] for line in open("/proc/self/cgroup") if line.startswith("0::")][0]
            folder = mounts[0] + own.rstrip("/") + "/rivals-" + name
            os.makedirs(folder, exist_ok=True)
            open(folder + "/cpu.stat").close()
            self.folder = folder
        except (OSError, IndexError):
            pass
        self.begin = self._cpu()

    def enter(self):
        """Runs in the child, before it becomes the relay."""
        if self.folder:
            with open(self.folder + "/cgroup.procs", "w") as procs:
                procs.write("0")

    def pids(self):
        if self.folder:
            try:
                return [int(word) for word in open(self.folder + "/cgroup.procs").read().split()]
            except OSError:
                return []
        children = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                children.setdefault(int(words_of_stat(pid)[1]), []).append(int(pid))
            except OSError:
                pass
        found, rest = [], list(self.roots)
        while rest:
            pid = rest.pop()
            if os.path.exists(f"/proc/{pid}"):
                found.append(pid)
            rest += children.get(pid, [])
        return found

    def _cpu(self):
        if self.folder:
            stat = dict(line.split() for line in open(self.folder + "/cpu.stat"))
            return (int(stat["user_usec"]) + int(stat["system_usec"])) / 1e6
        ticks = 0
        for pid in self.pids():
            try:
                ticks += sum(map(int, words_of_stat(pid)[11:15]))
            except OSError:
                pass
        return ticks / TICKS

    def reset(self):
        self.begin = self._cpu()

    def cpu(self):
        """Seconds, user and system, since the last reset."""
        return max(0, self._cpu() - self.begin)

    def pss(self):
        """Octets of memory, what is shared divided by those who share it."""
        total = 0
        for pid in self.pids():
            try:
                found = re.search(r"^Pss:\s+(\d+)", open(f"/proc/{pid}/smaps_rollup").read(), re.M)
                total += int(found.group(1)) * 1024 if found else 0
            except OSError:
                pass
        return total

    def kill(self, proc=None):
        """Only what this group holds, by number."""
        for _ in range(200):
            left = self.pids()
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, 9)
                except OSError:
                    pass
            if proc:
                proc.poll()
            time.sleep(0.02)

    def close(self):
        for _ in range(50 if self.folder else 0):
            try:
                os.rmdir(self.folder)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)


class Sampler(threading.Thread):
    """The most memory that a group had, looked at every 1.5 s: looking costs time too."""

    def __init__(self, group):
        super().__init__(daemon=True)
        self.group, self.peak, self.over = group, 0, threading.Event()

    def run(self):
        while not self.over.wait(1.5):
            self.peak = max(self.peak, self.group.pss())

    def finish(self):
        self.over.set()
        self.join()
        self.peak = max(self.peak, self.group.pss())
