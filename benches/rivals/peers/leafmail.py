"""leafmail as it is built from this checkout: `smtpd` receives and `spoolrun watch` forwards, as two processes.

Its configuration is written out here: the defaults, but that limits which would throttle a load test from one address are lifted,
the header fields that smtp-source does not write are not asked for, and a route has as many connections as Postfix has.
"""
import os
import subprocess

from relay import HERE, Relay


def configuration(relay):
    return f"""hostname = "relay.example"
spool = "{relay.spool}"

[listen]
addresses = ["127.0.0.1:{relay.port}"]

[message]
required_headers = []

[limits]
sessions = 12000
# Loopback is free of the limits for one address by default.
exempt = ["127.0.0.0/8"]

[relay]
url = "smtp://127.0.0.1:{relay.sink_port}?tls=none"
connections = {relay.connections}

[log]
file = "{relay.dir}/mail.log"
"""


class Leafmail(Relay):
    name = "leafmail"
    binaries = os.environ.get("RIVALS_LEAFMAIL", os.path.join(HERE, "../../target/release"))

    def program(self, name):
        return os.path.abspath(os.path.join(self.binaries, name))

    def why_not(self):
        missing = [name for name in ("smtpd", "spoolrun") if not os.path.exists(self.program(name))]
        return "not built: cargo build --release --bins" if missing else None

    def version(self):
        return subprocess.run([self.program("smtpd"), "--version"], capture_output=True, text=True).stdout.split()[-1]

    def setup(self, mode):
        self.config = os.path.join(self.dir, "leafmail.toml")
        with open(self.config, "w") as file:
            file.write(configuration(self))

    def argv(self):
        return [self.program("smtpd"), "--config", self.config]

    def others(self):
        return [[self.program("spoolrun"), "watch", "--config", self.config]] if self.mode == "relay" else []

    def one_session(self):
        return self.argv() + ["--one"]

    def queued(self):
        queue = self.spool + "/queue"
        return len(os.listdir(queue)) if os.path.isdir(queue) else 0


def relay():
    return Leafmail()
