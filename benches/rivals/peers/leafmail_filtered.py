"""leafmail with a policy service and a milter: see ../filtered.py."""
import importlib.util
import os

from filtered import Filtered
from relay import HERE

spec = importlib.util.spec_from_file_location("peer_leafmail_plain", os.path.join(HERE, "peers/leafmail.py"))
plain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain)


class LeafmailFiltered(Filtered, plain.Leafmail):
    name = "leafmail-filtered"

    def setup(self, mode):
        super().setup(mode)
        policy, milter = self.sockets()
        with open(self.config, "a") as file:
            file.write(f"\n[[policy_service]]\naddress = \"unix:{policy}\"\n\n[[milter]]\naddress = \"unix:{milter}\"\n")


def relay():
    return LeafmailFiltered()
