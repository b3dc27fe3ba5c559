"""Postfix from an unpacked Debian package, with its own configuration and queue; process limits raised, throttles off."""
import glob
import grp
import os
import pwd
import subprocess

from load import POSTFIX as BASE, postfix_env
from relay import Relay, files_below

DAEMONS = BASE + "/usr/lib/postfix/sbin"


def main_cf(relay, data):
    return f"""compatibility_level = 3.6
queue_directory = {relay.spool}
data_directory = {data}
daemon_directory = {DAEMONS}
command_directory = {BASE}/usr/sbin
shlib_directory = {BASE}/usr/lib/postfix
meta_directory = {relay.dir}/etc
mail_owner = postfix
setgid_group = postdrop
import_environment = MAIL_CONFIG LD_LIBRARY_PATH TZ LANG=C
maillog_file = {relay.dir}/mail.log
maillog_file_prefixes = {relay.dir}
myhostname = relay.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{relay.sink_port}
smtp_tls_security_level =
smtpd_tls_security_level =
# limits that would throttle a load test from one address
default_process_limit = 1100
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_peername_lookup = no
smtpd_timeout = 300s
message_size_limit = 52428800
default_destination_concurrency_limit = {relay.connections}
initial_destination_concurrency = {min(20, relay.connections)}
"""


def master_cf(relay):
    return f"""127.0.0.1:{relay.port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Relay):
    name = "postfix"

    def why_not(self):
        return None if os.path.exists(DAEMONS + "/master") else "it is not unpacked: run prepare"

    def version(self):
        argv = [BASE + "/usr/sbin/postconf", "-d", "-h", "mail_version"]
        return subprocess.run(argv, env=postfix_env(), capture_output=True, text=True).stdout.strip()

    def env(self):
        return {**postfix_env(), "MAIL_CONFIG": self.dir + "/etc"}

    def argv(self):
        return [DAEMONS + "/master", "-c", self.dir + "/etc"]

    def setup(self, mode):
        etc, data = self.dir + "/etc", self.dir + "/data"
        user, group = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
        own = lambda path, mode, uid=user, gid=-1: (os.makedirs(path, exist_ok=True), os.chown(path, uid, gid), os.chmod(path, mode))
        os.makedirs(etc, exist_ok=True)
        own(data, 0o700)
        own(self.spool, 0o755, uid=0)
        own(self.spool + "/pid", 0o755, uid=0)
        for name in "active bounce corrupt defer deferred flush hold incoming private saved trace".split():
            own(f"{self.spool}/{name}", 0o700)
        own(self.spool + "/maildrop", 0o1730, gid=group)
        own(self.spool + "/public", 0o2710, gid=group)
        # What the accept cells held is given to the queue manager as newly arrived.
        for held in glob.glob(self.spool + "/hold/*"):
            os.rename(held, f"{self.spool}/incoming/{os.path.basename(held)}")
        hold = "smtpd_client_restrictions = check_client_access static:HOLD\n" if mode == "accept" else ""
        for name, text in (("main.cf", main_cf(self, data) + hold), ("master.cf", master_cf(self))):
            with open(f"{etc}/{name}", "w") as file:
                file.write(text)
            os.utime(f"{etc}/{name}", (1e9, 1e9))  # Postfix waits while these are younger than 2 s
        if os.path.exists(self.dir + "/mail.log"):
            os.unlink(self.dir + "/mail.log")

    def queued(self):
        return sum(files_below(f"{self.spool}/{name}") for name in ("incoming", "active", "hold", "deferred"))


def relay():
    return Postfix()
