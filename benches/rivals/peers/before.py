"""An earlier build of leafmail, to be measured beside the present one in the same rounds: its folder is in RIVALS_BEFORE."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from leafmail import Leafmail


class Before(Leafmail):
    name = "before"
    binaries = os.environ.get("RIVALS_BEFORE", "")

    def why_not(self):
        return super().why_not() if self.binaries else "RIVALS_BEFORE names no folder with an earlier smtpd and spoolrun"


def relay():
    return Before()
