"""No relay, but a minimal receiver, which syncs as leafmail does before its 250 (bare.c)."""
import os

from relay import ROOT, Relay

BINARY = os.path.join(ROOT, "bin/bare")


class Bare(Relay):
    name = "bare"
    cells = r"accept|end to end|slow flush, accept"

    def why_not(self):
        return None if os.path.exists(BINARY) else "it is not built: run prepare"

    def version(self):
        return "minimal receiver"

    def setup(self, mode):
        os.makedirs(self.spool, exist_ok=True)

    def argv(self):
        forwarding = ["-r", str(self.sink_port)] if self.mode == "relay" else []
        return [BINARY, "-p", str(self.port), "-s", self.spool] + forwarding

    def queued(self):
        return len(os.listdir(self.spool))


def relay():
    return Bare()
