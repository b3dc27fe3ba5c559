//! Policy services beside smtpd as it is built: policyd-spf, and a small one that a test writes in Python.

use std::fs;
use std::process::Command;

use crate::have::have;
use crate::site::{Running, Site, wait_until};

/// A service at a Unix socket. For each question it reads the lines `VALUE ACTION` of the file `actions`, of which the first
/// whose value the question has (`name=value`) counts.
const SERVICE: &str = r#"
import os, socketserver, sys
folder = sys.argv[1]
class Service(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            asked = set()
            while True:
                line = self.rfile.readline()
                if not line:
                    return
                if line == b"\n":
                    break
                asked.add(line.decode().strip())
            action = "DUNNO"
            for line in open(folder + "/actions"):
                value, _, found = line.strip().partition(" ")
                if value in asked:
                    action = found
                    break
            if action == "die":
                os._exit(1)
            self.wfile.write(("action=" + action + "\n\n").encode())
socketserver.ThreadingUnixStreamServer.daemon_threads = True
with socketserver.ThreadingUnixStreamServer(folder + "/policy", Service) as server:
    print("ready", file=sys.stderr, flush=True)
    server.serve_forever()
"#;

fn service(site: &Site) -> Running {
    fs::write(site.path("service.py"), SERVICE).unwrap();
    let _ = fs::remove_file(site.path("policy"));
    let mut python = Command::new("python3");
    python.arg(site.path("service.py")).arg(site.path(""));
    let running = Running::start(python);
    running.wait_for_log("ready");
    running
}

pub(crate) fn site_with(address: &str, more: &str) -> Site {
    Site::new(&format!("[[policy_service]]\naddress = \"{address}\"\n{more}"))
}

/// A site whose service is at `policy` in its folder.
fn site(more: &str) -> Site {
    let site = Site::new("");
    let policy = format!("[[policy_service]]\naddress = \"unix:{}\"\n{more}", site.path("policy").display());
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text + &policy).unwrap();
    actions(&site, "");
    site
}

fn actions(site: &Site, text: &str) {
    fs::write(site.path("actions"), text).unwrap();
}

fn said(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(crate) const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

#[test]
fn a_service_adds_holds_defers_and_refuses_and_explain_says_so() {
    if !have("python3") {
        return;
    }
    let site = site("stages = [\"rcpt\", \"end-of-message\"]\n");
    let _service = service(&site);
    actions(
        &site,
        "recipient=no@example.com 550 5.1.1 not here\nrecipient=later@example.com DEFER_IF_PERMIT greylisted\n\
         recipient=spf@example.com PREPEND Received-SPF: pass (x)\nrecipient=odd@example.com WARN odd client\n\
         sender=held@example.com HOLD looks odd\n",
    );
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("MAIL FROM:<a@example.com>", "250");
    client.expect("RCPT TO:<no@example.com>", "550 5.1.1 not here");
    client.expect("RCPT TO:<later@example.com>", "450 4.7.1 greylisted");
    for to in ["spf", "odd"] {
        client.expect(&format!("RCPT TO:<{to}@example.com>"), "250");
    }
    client.expect("DATA", "354");
    client.finish(MESSAGE);
    client.submit("held@example.com", &["b@example.com"], MESSAGE);
    let ids = site.shelf("queue");
    assert_eq!(ids.len(), 2);
    assert!(site.run(&[]).status.success());
    let delivered = site.delivered();
    assert_eq!(delivered.len(), 1, "one is held");
    let text = String::from_utf8_lossy(&delivered[0]).into_owned();
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
    assert!(at("Received-SPF: pass (x)\r\n") < at("Received: from"), "RFC 7208 9.1: above our Received");

    let [held] = &site.shelf("hold")[..] else { panic!("{:?}", site.shelf("hold")) };
    let id = held.split('.').next().unwrap();
    let told = said(site.run(&["explain", id]));
    assert!(told.contains("A policy wants a person to look at it: unix:") && told.contains("looks odd."), "{told}");
    assert!(site.run(&["release", id]).status.success());
    assert!(site.run(&[]).status.success());
    assert_eq!((site.delivered().len(), site.shelf("hold").len()), (2, 0), "a release is not undone");
}

#[test]
fn what_a_service_prepends_at_the_end_is_in_all_that_leaves_the_spool() {
    if !have("python3") {
        return;
    }
    let site = site("stages = [\"end-of-message\"]\n");
    let _service = service(&site);
    actions(&site, "sender=a@example.com PREPEND X-Late: seen as a whole\n");
    let smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], MESSAGE);
    let [id] = &site.shelf("queue")[..] else { panic!("one message") };
    let told = said(site.run(&["explain", id]));
    assert!(told.contains("A policy added to the header: X-Late: seen as a whole"), "{told}");
    let elsewhere = site.path("elsewhere").to_str().unwrap().to_owned();
    let done = |arguments: &[&str]| {
        let output = site.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(output));
        said(output)
    };
    let changed = "X-Late: seen as a whole\r\nReceived: from";
    assert!(done(&["cat", id]).starts_with(changed));
    done(&["export", &elsewhere, id]);
    assert!(done(&["--spool", &elsewhere, "cat", id]).starts_with(changed));
    done(&["import", &elsewhere, id]);
    assert!(done(&["cat", id]).starts_with(changed));
    assert!(site.run(&[]).status.success());
    let [delivered] = &site.delivered()[..] else { panic!("one message") };
    let text = String::from_utf8_lossy(delivered);
    assert!(text.contains(changed) && text.contains("hello"), "{text}");
}

#[test]
fn a_service_that_dies_or_hangs_costs_no_mail_and_lets_none_in() {
    if !have("python3") {
        return;
    }
    let site = site("timeout = \"1s\"\n");
    let smtpd = site.listen(&[]);
    let deferred = || {
        let mut client = smtpd.client();
        client.expect("EHLO device", "250");
        client.expect("MAIL FROM:<a@example.com>", "250");
        client.expect("RCPT TO:<b@example.com>", "451 4.3.5");
    };
    // Nothing is there yet; the warning names it once.
    deferred();
    deferred();
    smtpd.wait_for_log("policy service unix:");
    assert_eq!(smtpd.log().matches("clients are deferred with 451").count(), 1, "{}", smtpd.log());
    let first = service(&site);
    smtpd.client().submit("a@example.com", &["b@example.com"], MESSAGE);
    smtpd.wait_for_log("it answers again; 2 questions were not answered");
    // Killed between two recipients: the one that was accepted gets the message.
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("MAIL FROM:<a@example.com>", "250");
    client.expect("RCPT TO:<c@example.com>", "250");
    first.kill();
    client.expect("RCPT TO:<d@example.com>", "451 4.3.5");
    client.expect("DATA", "354");
    client.finish(MESSAGE);
    // It dies over a question.
    actions(&site, "recipient=b@example.com die\n");
    let mut second = service(&site);
    deferred();
    second.wait();
    // It is stopped.
    actions(&site, "");
    let third = service(&site);
    signal(&third, "STOP");
    deferred();
    deferred();
    signal(&third, "CONT");
    wait_until("it is asked again", || {
        let mut client = smtpd.client();
        client.expect("EHLO device", "250");
        client.expect("MAIL FROM:<a@example.com>", "250");
        client.send(b"RCPT TO:<b@example.com>\r\n");
        client.reply().starts_with("250")
    });
    assert_eq!(site.shelf("queue").len(), 2);
}

pub(crate) fn signal(process: &Running, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.pid().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn doctor_asks_each_policy_service() {
    if !have("python3") {
        return;
    }
    let site = site("");
    let told = said(site.run(&["doctor"]));
    assert!(told.contains("fault     answer: nothing answers at unix:"), "{told}");
    assert!(told.contains("Until it answers, clients are deferred with 451."), "{told}");
    let _service = service(&site);
    let told = said(site.run(&["doctor"]));
    assert!(told.contains("ok        answer: it answers DUNNO"), "{told}");
}

/// policyd-spf for each connection to the Unix socket, as Postfix's spawn(8) runs it; it asks the name server at a port.
#[cfg(feature = "dns")]
const POLICYD_SPF: &str = r#"
import socketserver, subprocess, sys
socket, port, config = sys.argv[1:]
program = """
import dns.resolver, sys
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = ["127.0.0.1"], int(sys.argv.pop(1))
dns.resolver.default_resolver = resolver
from spf_engine.policyd_spf import main
main()
"""
class Service(socketserver.BaseRequestHandler):
    def handle(self):
        arguments = [sys.executable, "-c", program, port, config]
        subprocess.run(arguments, stdin=self.request, stdout=self.request, stderr=subprocess.DEVNULL)
socketserver.ThreadingUnixStreamServer.daemon_threads = True
with socketserver.ThreadingUnixStreamServer(socket, Service) as server:
    print("ready", file=sys.stderr, flush=True)
    server.serve_forever()
"#;

#[cfg(feature = "dns")]
#[test]
fn policyd_spf_refuses_a_client_that_the_domain_does_not_permit() {
    use crate::have::have_python;
    use crate::support::peers::dns_lab::{DnsLab, Signed};

    if !have_python("spf_engine.policyd_spf") {
        return;
    }
    let zones =
        [("good.test", Signed::Insecure, "@ TXT \"v=spf1 ip4:203.0.113.9 -all\"\n@ MX 10 mx\nmx A 203.0.113.9\n")];
    let Some(lab) = DnsLab::start(&zones) else { return };
    let site = site(
        "stages = [\"rcpt\"]\n[clients]\nnetworks = [\"0.0.0.0/0\", \"::/0\"]\nxclient = [\"127.0.0.0/8\"]\n[recipients]\nallow = \
         [\"@example.com\"]\n[limits]\nrefusals = 0\n",
    );
    let conf = "debugLevel = 0\nTestOnly = 1\nHELO_reject = Fail\nMail_From_reject = Fail\n";
    fs::write(site.path("policyd-spf.conf"), conf).unwrap();
    fs::write(site.path("spawn.py"), POLICYD_SPF).unwrap();
    let mut python = Command::new("/usr/bin/python3");
    python.arg(site.path("spawn.py")).arg(site.path("policy")).arg(lab.address.port().to_string());
    let service = Running::start({
        python.arg(site.path("policyd-spf.conf"));
        python
    });
    service.wait_for_log("ready");
    let smtpd = site.listen(&[]);
    for (address, expected) in [("203.0.113.9", "250"), ("198.51.100.1", "550 5.7.23 ")] {
        let mut client = smtpd.client();
        client.expect("EHLO proxy", "250");
        client.expect(&format!("XCLIENT ADDR={address}"), "220");
        client.expect("EHLO mx.good.test", "250");
        client.expect("MAIL FROM:<a@good.test>", "250");
        client.expect("RCPT TO:<b@example.com>", expected);
        if expected == "250" {
            client.expect("DATA", "354");
            client.finish(MESSAGE);
        }
    }
    assert!(site.run(&[]).status.success());
    let text = String::from_utf8_lossy(&site.delivered()[0]).into_owned();
    assert!(text.contains("Received-SPF: Pass (mailfrom) identity=mailfrom; client-ip=203.0.113.9;"), "{text}");
}
