"""Postfix with a policy service and a milter: see ../filtered.py."""
import importlib.util
import os

from filtered import Filtered
from relay import HERE

spec = importlib.util.spec_from_file_location("peer_postfix_plain", os.path.join(HERE, "peers/postfix.py"))
plain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain)


class PostfixFiltered(Filtered, plain.Postfix):
    name = "postfix-filtered"

    def setup(self, mode):
        super().setup(mode)
        policy, milter = self.sockets()
        path = self.dir + "/etc/main.cf"
        with open(path, "a") as file:
            file.write(f"smtpd_recipient_restrictions = check_policy_service unix:{policy}, permit_mynetworks, reject\n"
                       f"smtpd_milters = unix:{milter}\nmilter_default_action = tempfail\n")
        os.utime(path, (1e9, 1e9))  # Postfix waits while this is younger than 2 s


def relay():
    return PostfixFiltered()
