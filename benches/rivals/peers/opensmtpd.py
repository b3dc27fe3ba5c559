"""OpenSMTPD from an unpacked Debian package; limits raised. Its spool (/var/spool/smtpd) and its control socket are compiled in, so
it is left out where a real OpenSMTPD is installed. It does not sync before its 250."""
import os
import re
import shutil
import subprocess

from relay import BACKLOG, ROOT, Relay

BINARY = os.path.join(ROOT, "opensmtpd/usr/sbin/smtpd")
LIMITS = """mta limit max-conn-per-host 100
mta limit max-conn-per-route 100
mta limit max-conn-per-connector 100
mta limit max-conn-per-source 100
mta limit max-conn-per-relay 100
mta limit max-conn-per-domain 100
mta limit session-mail-max 1000
mta limit conn-delay-host 0
mta limit conn-delay-source 0
mta limit conn-delay-connector 0
mta limit conn-delay-relay 0
mta limit conn-delay-domain 0
mta limit reconn-delay-route 0
scheduler limit max-inflight 20000
"""


class OpenSMTPD(Relay):
    name = "opensmtpd"
    cells = "(?!slow)"  # it does not sync, and its spool has a place of its own

    def __init__(self):
        super().__init__()
        self.spool = "/var/spool/smtpd"

    def why_not(self):
        if not os.path.exists(BINARY):
            return "it is not unpacked: run prepare"
        if os.path.exists("/var/lib/dpkg/info/opensmtpd.list"):
            return "OpenSMTPD is installed on this system; its spool would be touched"
        return None

    def version(self):
        told = subprocess.run([BINARY, "-h"], capture_output=True, text=True)
        found = re.search(r"OpenSMTPD (\S+)", told.stdout + told.stderr)
        return found.group(1) if found else "?"

    def wipe(self):
        for name in ("queue", "incoming", "purge", "temporary", "offline", "corrupt"):
            shutil.rmtree(os.path.join(self.spool, name), ignore_errors=True)

    def setup(self, mode):
        os.makedirs(self.spool, exist_ok=True)
        os.chmod(self.spool, 0o711)
        with open(self.dir + "/smtpd.conf", "w") as file:
            file.write(f"""listen on 127.0.0.1 port {self.port} hostname relay.example no-dsn
smtp max-message-size 50M
smtp limit max-mails 1000000
action "relay" relay host smtp://127.0.0.1:{self.sink_port} helo relay.example
match from any for any action "relay"
""" + LIMITS)
        os.chmod(self.dir + "/smtpd.conf", 0o600)
        with open(self.dir + "/resolv.conf", "w") as file:
            file.write("lookup file\n")

    def env(self):
        return {**os.environ, **BACKLOG}

    def argv(self):
        # It looks every client up in the DNS first: in a mount namespace of its own it is told to look in /etc/hosts only.
        script = f'mount --bind {self.dir}/resolv.conf /etc/resolv.conf && exec "$@"'
        argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", BINARY, "-d", "-f", self.dir + "/smtpd.conf"]
        return argv + (["-P", "mta"] if self.mode == "accept" else [])

    def queued(self):
        queue = self.spool + "/queue"
        if not os.path.isdir(queue):
            return 0
        return sum(len(os.listdir(shard.path)) for shard in os.scandir(queue) if shard.is_dir())


def relay():
    return OpenSMTPD()
