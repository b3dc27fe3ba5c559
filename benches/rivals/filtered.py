"""A relay that asks a policy service at each RCPT and a milter at each step of a message, both of filters.c, on Unix sockets.

The helpers are not in the relay's control group: what is counted is the relay's own cost of asking.
"""
import os
import subprocess
import time

from relay import ROOT


class Filtered:
    cells = "filters"

    def sockets(self):
        return [os.path.join(self.dir, name) for name in ("policy.sock", "milter.sock")]

    def start(self, *how, **more):
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        for path in self.sockets():
            if os.path.exists(path):
                os.unlink(path)
        self.helpers = subprocess.Popen([os.path.join(ROOT, "bin/filters")] + self.sockets())
        deadline = time.monotonic() + 10
        while not all(os.path.exists(path) for path in self.sockets()) and time.monotonic() < deadline:
            time.sleep(0.01)
        super().start(*how, **more)

    def stop(self):
        try:
            super().stop()
        finally:
            self.helpers.kill()
            self.helpers.wait()
