"""E-MailRelay: the binary that RIVALS_EMAILRELAY names. It does not sync before its 250."""
import os
import pwd
import re
import subprocess

from relay import BACKLOG, Relay, files_below


class EMailRelay(Relay):
    name = "emailrelay"
    cells = "(?!slow)"  # it does not sync
    most_drained = 500  # it forwards over one connection, one message after the other

    def __init__(self):
        super().__init__()
        self.binary = os.environ.get("RIVALS_EMAILRELAY", "")

    def why_not(self):
        return None if os.path.exists(self.binary) else "RIVALS_EMAILRELAY names no binary"

    def version(self):
        found = re.search(r"V(\S+)", subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout)
        return found.group(1) if found else "?"

    def setup(self, mode):
        os.makedirs(self.spool, exist_ok=True)
        user = pwd.getpwnam("daemon")
        os.chown(self.spool, user.pw_uid, user.pw_gid)

    def env(self):
        return {**os.environ, **BACKLOG}

    def argv(self):
        argv = [self.binary, "--no-daemon", "--no-syslog", "--log", "--log-file", self.dir + "/emailrelay.log",
                "--spool-dir", self.spool, "--interface", "127.0.0.1", "--port", str(self.port), "--domain", "relay.example"]
        if self.mode == "relay":
            argv += ["--forward-to", f"127.0.0.1:{self.sink_port}", "--forward", "--forward-on-disconnect", "--poll", "1"]
        return argv

    def queued(self):
        return files_below(self.spool, lambda name: ".envelope" in name)


def relay():
    return EMailRelay()
