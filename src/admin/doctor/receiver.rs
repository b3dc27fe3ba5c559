//! The receiver as its clients see it: which server answers, and whether it would relay for strangers.
//!
//! The probes come from this host under each of its addresses, because the answer depends on the client's address. No
//! probe reaches DATA. Replies are hostile: bounded, and escaped where they are shown.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use ipnet::IpNet;

use crate::address::Domain;
use crate::smtp::{Reply, ReplyReader};
use crate::transport::Step;

/// What is to be asked, and what may be answered.
#[derive(Debug, Clone)]
pub struct ReceiverPlan {
    /// Where it listens.
    pub doors: Vec<ReceiverAddress>,
    /// What it calls itself.
    pub hostname: Domain,
    /// Whose mail it may relay without a login.
    pub networks: Vec<IpNet>,
}

/// One address that it listens at.
#[derive(Debug, Clone)]
pub struct ReceiverAddress {
    /// The address; unspecified: all of this host's.
    pub address: SocketAddr,
    /// Why it cannot be asked in plain SMTP.
    pub closed: Option<&'static str>,
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a stranger would try, as sender and recipient: the domain of the first kind is foreign; in the others an address
/// of ours is a disguise (RFC 5321 appendix F.2, RFC 2505 2.1, and the lists of old open-relay testers).
fn attempts(ours: &str) -> Vec<(String, String, bool)> {
    let plain = "relay-test@a-stranger.example".to_owned();
    let foreign = |sender: &str| (sender.to_owned(), "victim@elsewhere.example".to_owned(), false);
    let disguised = |to: String| (plain.clone(), to, true);
    vec![
        foreign(&plain),
        foreign(""),
        foreign(&format!("postmaster@{ours}")),
        disguised(format!("@{ours}:victim@elsewhere.example")),
        disguised(format!("victim%elsewhere.example@{ours}")),
        disguised(format!("\"victim@elsewhere.example\"@{ours}")),
        disguised(format!("elsewhere.example!victim@{ours}")),
        disguised("victim%elsewhere.example@[127.0.0.1]".to_owned()),
    ]
}

/// Asks at every door, under every address of this host that fits it.
pub fn probe_receiver(plan: &ReceiverPlan, tell: &mut dyn FnMut(Step)) {
    if plan.doors.is_empty() {
        tell(Step::ok(
            "receiver",
            "no TCP address is configured in [listen] addresses, so that there is nothing to ask",
        ));
    }
    for door in &plan.doors {
        if let Some(closed) = door.closed {
            tell(Step::ok("receiver", format!("{}: not asked, {closed}", door.address)));
            continue;
        }
        for ip in targets(door.address.ip()) {
            tell(ask(plan, SocketAddr::new(ip, door.address.port())));
        }
    }
}

/// The addresses under which a door is to be tried; one at `[::]` takes IPv6 clients only.
fn targets(address: IpAddr) -> Vec<IpAddr> {
    if !address.is_unspecified() {
        return vec![address];
    }
    let loopback: IpAddr = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let own = own_address(address.is_ipv4()).filter(|own| !own.is_loopback());
    std::iter::once(loopback).chain(own).collect()
}

/// The address that this host has towards the world; nothing is sent to find it out.
fn own_address(v4: bool) -> Option<IpAddr> {
    // Of the networks for documentation (RFC 5737, RFC 3849): a connected UDP socket only asks the routing table.
    let (from, to) = if v4 { ("0.0.0.0:0", "192.0.2.1:9") } else { ("[::]:0", "[2001:db8::1]:9") };
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

fn ask(plan: &ReceiverPlan, address: SocketAddr) -> Step {
    let nobody = |error: io::Error| {
        let remedy = "Start smtpd. If it runs, look at [listen] addresses, and at the firewall of this host.";
        Step::fault("receiver", format!("nobody answers at {address}: {error}"), remedy)
    };
    let stream = match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(stream) => stream,
        Err(error) => return nobody(error),
    };
    let client = stream.local_addr().map_or(address.ip(), |local| local.ip());
    match Talk::over(stream).and_then(|mut talk| talk.run(plan)) {
        Ok(findings) => judge(plan, address, client, &findings),
        Err(error) => nobody(error),
    }
}

/// What the receiver accepted, and its first refusal.
#[derive(Debug, Default)]
struct Findings {
    accepted: Vec<(String, bool)>,
    asked: usize,
    refusal: Option<String>,
}

fn judge(plan: &ReceiverPlan, address: SocketAddr, client: IpAddr, findings: &Findings) -> Step {
    let known = plan.networks.iter().any(|network| network.contains(&client));
    let refusal = findings.refusal.clone().unwrap_or_default();
    let Findings { accepted, asked, .. } = findings;
    let Some((first, _)) = accepted.first() else {
        return Step::ok("relaying", format!("{address} relays nothing for strangers at {client}: {refusal}"));
    };
    let count = format!("{} of {asked} probes were accepted", accepted.len());
    if known {
        return Step::ok("relaying", format!("{address} relays for {client}, as [clients] networks has it: {count}"));
    }
    let found = format!("{address} relays for {client}, which is in no network of [clients]: {count}, such as {first}");
    let remedy = "Name the networks of the site in [clients] networks, and no others, and what the site receives in \
                  [recipients] allow; then restart smtpd.";
    if accepted.iter().all(|(_, disguised)| *disguised) {
        return Step::warning(
            "relaying",
            found,
            "If the next hop takes such addresses apart, deny them in [recipients] deny.",
        );
    }
    Step::fault("relaying", format!("OPEN RELAY: {found}"), remedy)
}

/// One SMTP dialogue.
struct Talk {
    stream: TcpStream,
    replies: ReplyReader,
}

impl Talk {
    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, replies: ReplyReader::default() })
    }

    fn run(&mut self, plan: &ReceiverPlan) -> io::Result<Findings> {
        let mut findings = Findings::default();
        let mut reply = self.reply()?;
        if is_success(&reply) {
            reply = self.say(&format!("EHLO {}", plan.hostname))?;
        }
        if !is_success(&reply) {
            findings.refusal = Some(last_line(&reply));
            return Ok(findings);
        }
        for (sender, recipient, disguised) in attempts(plan.hostname.as_str()) {
            findings.asked += 1;
            let mut reply = self.say(&format!("MAIL FROM:<{sender}>"))?;
            if is_success(&reply) {
                reply = self.say(&format!("RCPT TO:<{recipient}>"))?;
                if is_success(&reply) {
                    findings.accepted.push((format!("<{recipient}> from <{sender}>"), disguised));
                }
            }
            if reply.code() == 421 {
                break;
            }
            if !is_success(&reply) {
                findings.refusal.get_or_insert_with(|| last_line(&reply));
            }
            self.say("RSET")?;
        }
        // What it answers adds nothing.
        let _ = self.say("QUIT");
        Ok(findings)
    }

    fn say(&mut self, line: &str) -> io::Result<Reply> {
        self.stream.write_all(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut octets = [0; 4096];
        loop {
            let reply = self.replies.next_reply();
            if let Some(reply) = reply.map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))? {
                return Ok(reply);
            }
            match self.stream.read(&mut octets)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.replies.feed(&octets[..count]),
            }
        }
    }
}

/// Whether the first digit is 2.
fn is_success(reply: &Reply) -> bool {
    reply.code() < 300
}

/// The last line of a reply.
fn last_line(reply: &Reply) -> String {
    let enhanced = reply.enhanced().map(|code| format!(" {code}")).unwrap_or_default();
    let line = reply.text().rsplit('\n').next().unwrap_or_default();
    format!("{}{enhanced} {line}", reply.code()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::transport::ProbeVerdict;

    /// A receiver that answers each RCPT by `rule`, once.
    fn receiver(rule: fn(&str) -> bool) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let (mut lines, mut stream) = (BufReader::new(stream.try_clone().unwrap()).lines(), stream);
            stream.write_all(b"220-two\r\n220 lines\r\n").unwrap();
            while let Some(Ok(line)) = lines.next() {
                let taken = !line.starts_with("RCPT") || rule(&line);
                stream.write_all(if taken { b"250 ok\r\n" } else { b"554 no\x1b relay\r\n" }).unwrap();
            }
        });
        address
    }

    fn verdict(rule: fn(&str) -> bool, networks: &[&str]) -> (ProbeVerdict, String) {
        let plan = ReceiverPlan {
            doors: vec![ReceiverAddress { address: receiver(rule), closed: None }],
            hostname: "relay.example".parse().unwrap(),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        };
        let mut steps = Vec::new();
        probe_receiver(&plan, &mut |step| steps.push(step));
        assert_eq!(steps.len(), 1);
        (steps[0].verdict, steps[0].found.clone())
    }

    #[test]
    fn who_relays_for_strangers_is_found_out() {
        let (found, text) = verdict(|_| true, &[]);
        assert!(found == ProbeVerdict::Fault && text.starts_with("OPEN RELAY: ") && text.contains("8 of 8"), "{text}");
        let (found, text) = verdict(|_| true, &["127.0.0.0/8"]);
        assert!(found == ProbeVerdict::Ok && text.contains("as [clients] networks has it"), "{text}");
        let (found, text) = verdict(|_| false, &[]);
        assert!(
            found == ProbeVerdict::Ok && text.contains("relays nothing for strangers at 127.0.0.1: 554 no? relay"),
            "{text}"
        );
        let (found, text) = verdict(|line| line.contains('%'), &[]);
        assert!(found == ProbeVerdict::Warning && text.contains("victim%elsewhere.example@relay.example"), "{text}");
    }

    #[test]
    fn that_nobody_answers_is_said() {
        let plan = ReceiverPlan {
            doors: vec![ReceiverAddress { address: "127.0.0.1:9".parse().unwrap(), closed: None }],
            hostname: "relay.example".parse().unwrap(),
            networks: Vec::new(),
        };
        let mut steps = Vec::new();
        probe_receiver(&plan, &mut |step| steps.push(step));
        assert_eq!(steps[0].verdict, ProbeVerdict::Fault);
        assert!(steps[0].remedy.as_ref().unwrap().contains("Start smtpd"));
    }
}
