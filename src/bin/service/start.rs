//! What a person reads when `smtpd` begins on a terminal: where mail is taken and from whom, where it is kept, where it goes,
//! a command that sends a test, and how to end it. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use leafmail::address::{Domain, escaped};
use leafmail::config::{Config, ListenAddress, ListenPrefixes};
use leafmail::transport::NextHop;

use crate::cli::screen::paper::{Paper, Tone, one_line, wrapped};

/// Columns before what a row says.
const MARGIN: usize = 18;

/// What the block needs to know.
pub(crate) struct Start<'a> {
    pub(crate) config: &'a Config,
    /// The addresses that connections are taken at, with the ports that the system chose.
    pub(crate) addresses: &'a [ListenAddress],
    pub(crate) delivers: bool,
    /// What wants a look.
    pub(crate) remarks: &'a [String],
}

impl Start<'_> {
    /// The block, with its line ends.
    pub(super) fn text(&self, paper: Paper) -> String {
        let mut text = format!("leafmail {} takes mail. Ctrl-C ends it.\n\n", env!("CARGO_PKG_VERSION"));
        for (name, said) in self.rows() {
            let said = wrapped(&one_line(&said), paper.columns, MARGIN);
            text.push_str(&format!("  {name:width$}{said}\n", width = MARGIN - 2));
        }
        if let Some(test) = self.test(paper.columns) {
            text.push_str("\n  To send a test, paste this into another terminal:\n\n");
            text.push_str(&escaped(&test));
        }
        text.push('\n');
        text.extend(self.remarks.iter().map(|remark| warning(remark, paper)));
        if !self.remarks.is_empty() {
            text.push('\n');
        }
        text
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let list = |items: Vec<String>| items.join(", ");
        let config = self.config;
        let addresses = list(self.addresses.iter().map(ListenAddress::to_string).collect());
        let spool = config.spool.display();
        let mut rows = vec![("takes mail on", addresses), ("from", self.clients())];
        if self.delivers {
            rows.push(("keeps it in", format!("{spool} until it is delivered")));
            rows.extend(self.destinations().into_iter().map(|to| ("delivers it to", to)));
        } else {
            rows.push(("keeps it in", format!("{spool}; `spoolrun watch` or `smtpd --deliver` sends it on")));
        }
        let settings = config.path().map_or_else(
            || "built-in defaults: there is no ./leafmail.toml and no /etc/leafmail/leafmail.toml".to_owned(),
            |path| path.display().to_string(),
        );
        rows.push(("settings", settings));
        rows
    }

    /// Who may send.
    fn clients(&self) -> String {
        let clients = &self.config.clients;
        let networks: Vec<String> =
            clients.networks.iter().chain(&clients.own_public_networks).map(ToString::to_string).collect();
        let mut who = match (networks.is_empty(), self.config.auth.require) {
            (true, _) => "nobody".to_owned(),
            (false, false) => networks.join(", "),
            (false, true) => format!("{}, after a login", networks.join(", ")),
        };
        if !clients.auth_networks.is_empty() {
            let networks: Vec<String> = clients.auth_networks.iter().map(ToString::to_string).collect();
            who.push_str(&format!("; after a login: {}", networks.join(", ")));
        }
        who
    }

    fn destinations(&self) -> Vec<String> {
        let plans = self.config.routes();
        let alone = plans.len() == 1;
        let to = |hop: &NextHop| hop.agent().map_or_else(|| hop.to_string(), |agent| agent.title());
        let line = |plan: &leafmail::config::RoutePlan| {
            let hops: Vec<String> = plan.hops.iter().map(|hop| to(&hop.next_hop)).collect();
            let hops = hops.join(", else ");
            if alone { hops } else { format!("{hops} (route {})", plan.name) }
        };
        plans.iter().map(line).collect()
    }

    /// A command that sends a mail which this relay takes; `None` where this host has no way in.
    fn test(&self, columns: usize) -> Option<String> {
        let (address, front) = self.addresses.iter().find_map(|address| match address {
            ListenAddress::Tcp(at, front) if !front.proxied && self.lets_in(reachable(*at).ip(), *front) => {
                Some((reachable(*at), *front))
            }
            _ => None,
        })?;
        let login = self.config.auth.require || front.login;
        let domain = self.config.default_domain.as_ref().filter(|domain| !domain.is_literal());
        let domain = domain.map_or_else(|| "example.com".to_owned(), Domain::to_string);
        let (sender, recipient) = (format!("me@{domain}"), format!("you@{domain}"));
        let mut words: Vec<String> = vec!["printf".to_owned(), "'%s\\n'".to_owned()];
        let header = |name: &str| {
            let value = match name.to_ascii_lowercase().as_str() {
                "from" | "sender" | "reply-to" => sender.as_str(),
                "to" | "cc" => recipient.as_str(),
                "subject" => "hello",
                "date" => "Thu, 01 Jan 2026 00:00:00 +0000",
                "message-id" => "<hello@example.com>",
                "mime-version" => "1.0",
                _ => "test",
            };
            format!("'{name}: {value}'")
        };
        let required = self.config.message.required_headers.iter().map(ToString::to_string);
        let mut names: Vec<String> = ["From", "To", "Subject"].map(str::to_owned).to_vec();
        names.extend(required.filter(|name| !["from", "to", "subject"].contains(&name.to_ascii_lowercase().as_str())));
        words.extend(names.iter().map(|name| header(name)));
        words.extend(["''", "'It works.'", "|", "curl", "-sS", "--crlf"].map(str::to_owned));
        words.push(format!("{}://{address}/me", if front.tls { "smtps" } else { "smtp" }));
        if front.tls || self.config.tls.require {
            // The certificate has another name than this address.
            words.push("--insecure".to_owned());
        }
        if self.config.tls.require && !front.tls {
            words.push("--ssl-reqd".to_owned());
        }
        if login {
            words.push("--user YOUR_NAME".to_owned());
        }
        words.extend([format!("--mail-from {sender}"), format!("--mail-rcpt {recipient}"), "-T -".to_owned()]);
        Some(command(&words, columns))
    }

    /// Whether a client at this address of this host may send there.
    fn lets_in(&self, ip: IpAddr, front: ListenPrefixes) -> bool {
        let clients = &self.config.clients;
        let mut networks = clients.networks.iter().chain(&clients.own_public_networks).chain(&clients.auth_networks);
        front.login || networks.any(|network| network.contains(&ip))
    }
}

/// A warning, with its line end.
fn warning(text: &str, paper: Paper) -> String {
    const WORD: &str = "warning:";
    let (colour, normal) = if paper.colour { (Tone::Waits.colour(), "\x1b[0m") } else { ("", "") };
    format!("{colour}{WORD}{normal} {}\n", wrapped(&one_line(text), paper.columns, WORD.len() + 1))
}

/// Where a client of this host reaches an address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// A shell's command in lines of this width, each but the last with a backslash at its end.
fn command(words: &[String], columns: usize) -> String {
    let room = columns.clamp(60, 200) - 8;
    let (mut text, mut used) = ("    ".to_owned(), 0);
    for word in words {
        if used > 0 && used + 1 + word.len() > room {
            text.push_str(" \\\n      ");
            used = 2;
        } else if used > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += word.len();
    }
    text.push('\n');
    text
}
