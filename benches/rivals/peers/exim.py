"""Exim 4 from an unpacked Debian package, with its own configuration and spool; limits raised."""
import os
import pwd
import re
import subprocess

from relay import ROOT, Relay, files_below

BINARY = os.path.join(ROOT, "exim4-daemon-light/usr/sbin/exim4")


class Exim(Relay):
    name = "exim"
    runners = 5  # queue runners side by side, in the drain cells

    def why_not(self):
        return None if os.path.exists(BINARY) else "it is not unpacked: run prepare"

    def version(self):
        told = subprocess.run([BINARY, "-C", "/dev/null", "-bV"], capture_output=True, text=True).stdout
        found = re.search(r"Exim version (\S+)", told)
        return found.group(1) if found else "?"

    def setup(self, mode):
        conf = os.path.join(self.dir, "exim.conf")
        user = pwd.getpwnam("Debian-exim")
        log = os.path.join(self.dir, "log")
        for folder in (self.spool, log):
            os.makedirs(folder, exist_ok=True)
            os.chown(folder, user.pw_uid, user.pw_gid)
            os.chmod(folder, 0o750)
        for name in os.listdir(log):
            os.unlink(os.path.join(log, name))
        with open(conf, "w") as file:
            file.write(f"""primary_hostname = relay.example
exim_path = {BINARY}
spool_directory = {self.spool}
log_file_path = {log}/%slog
pid_file_path = {self.dir}/exim.pid
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
disable_ipv6 = true
tls_advertise_hosts =
acl_smtp_rcpt = acl_rcpt
rfc1413_query_timeout = 0s
never_users =
deliver_drop_privilege = true
split_spool_directory = true
message_size_limit = 50M
# limits that would throttle a load test from one address
smtp_accept_max = 1100
smtp_accept_queue = 0
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
smtp_accept_max_nonmail = 1000000
smtp_connect_backlog = 1000
queue_run_max = 50
remote_max_parallel = 10
{'queue_only = true' if mode == 'accept' else ''}
begin acl
acl_rcpt:
  accept hosts = 127.0.0.1
  deny
begin routers
smarthost:
  driver = manualroute
  route_data = 127.0.0.1::{self.sink_port}
  self = send
  transport = remote_smtp
begin transports
remote_smtp:
  driver = smtp
  allow_localhost = true
  hosts_avoid_tls = *
  hosts_try_fastopen =
  connection_max_messages = 500
begin retry
* * F,1h,1m
""")
        os.chmod(conf, 0o644)

    def argv(self):
        return [BINARY, "-C", self.dir + "/exim.conf", "-bdf"] + (["-q10s"] if self.mode == "relay" else [])

    def kick(self):
        for _ in range(self.runners):
            self.spawn([BINARY, "-C", self.dir + "/exim.conf", "-q"])

    def queued(self):
        return files_below(self.spool + "/input", lambda name: name.endswith("-H"))


def relay():
    return Exim()
