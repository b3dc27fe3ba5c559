//! What a program with this configuration must reach on its host: files, folders, ports and commands.
//!
//! It is computed for the sandbox, and prefers working mail to a tight sandbox: folders instead of files, because a
//! renewal replaces the file; and for a link its target as well as its place.

use std::path::{Path, PathBuf};

use super::{Config, ListSection, ListenAddress, LogTo};
use crate::event_hook::EventTarget;
use crate::policy::HookTarget;
use crate::recipients::{self, RecipientSource};
use crate::spam::{self, SpamProgram};
use crate::sys::sandbox::SystemReach;
use crate::transport::{AgentNeeds, DatabaseQuestion, Roots, RouteSettings, SecretSource, TokenSource};

/// What is needed of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxNeeds {
    /// Folders of the files that are read.
    pub read: Vec<PathBuf>,
    /// Folders that are written to.
    pub write: Vec<PathBuf>,
    /// Folders from which a socket of ours is removed in the end.
    pub remove: Vec<PathBuf>,
    /// TCP ports that are connected to.
    pub ports: Vec<u16>,
    /// Whether a next hop is connected to from a certain address.
    pub binds_source: bool,
    /// Commands for the shell.
    pub commands: Vec<String>,
    /// How much of the system is read.
    pub system: SystemReach,
}

/// What the program does with the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// It takes mail only.
    Receive,
    /// It forwards mail, perhaps taking some as well.
    Forward,
    /// It shows the spool, and acts on it: it connects nowhere, and reads no password.
    Serve,
}

/// DNS over TCP, where an answer is long (RFC 7766).
const DNS: u16 = 53;
/// Where programs of the host may say that authorities or a proxy are.
const AUTHORITIES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
const PROXIES: [&str; 6] = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

impl Config {
    /// What is needed for a task.
    pub fn sandbox_needs(&self, task: Task) -> SandboxNeeds {
        if task == Task::Serve {
            return self.needs_of_page();
        }
        let mut needs = SandboxNeeds { write: vec![self.spool.clone()], ports: vec![DNS], ..SandboxNeeds::default() };
        let tls = &self.tls;
        for file in [&tls.certificate, &tls.key, &tls.client_ca, &self.auth.users, &self.aliases.file] {
            file.iter().for_each(|file| needs.reads(file));
        }
        self.list.iter().filter_map(|list| list.members_file.as_ref()).for_each(|file| needs.reads(file));
        self.list.iter().filter_map(ListSection::question).for_each(|question| needs.asks(&question));
        needs.write.extend(self.log.file.iter().map(|file| folder_of(file)));
        needs.remove = self.listen.addresses.iter().filter_map(socket_folder).collect();
        // A Unix socket needs no rule.
        needs.ports.extend(self.policy_services().iter().filter_map(|service| service.address.port()));
        needs.ports.extend(self.milters().iter().filter_map(|milter| milter.address.port()));
        for hook in self.hooks() {
            match &hook.target {
                HookTarget::Command(line) => needs.commands.push(line.clone()),
                HookTarget::Url(url) => needs.posts_to(url),
            }
        }
        match self.spam_filter().map(|(filter, _)| filter.program) {
            Some(SpamProgram::Bogofilter(command)) => needs.commands.extend(spam::command_lines(&command)),
            Some(SpamProgram::Rspamd(url)) => needs.posts_to(&url),
            None => {}
        }
        for hook in self.event_hooks() {
            match &hook.target {
                EventTarget::Command(line) => needs.commands.push(line.clone()),
                EventTarget::Url(url) => needs.posts_to(url),
            }
        }
        match self.recipient_settings().map(|settings| settings.source) {
            Some(RecipientSource::File(file)) => needs.reads(&file),
            Some(RecipientSource::Command(line)) => needs.commands.push(recipients::command_line(&line)),
            Some(RecipientSource::Database(question)) => needs.asks(&question),
            Some(RecipientSource::Callout(hop)) => {
                needs.next_hop(&hop);
                needs.reads_authorities();
            }
            None => {}
        }
        needs.ports.extend(self.dns.servers.iter().map(|server| server.port()));
        if task == Task::Forward {
            for hop in self.routes().iter().flat_map(|route| &route.hops) {
                needs.next_hop(hop);
            }
            self.dkim.iter().filter_map(|key| key.key_file.as_deref()).for_each(|file| needs.reads(file));
            needs.commands.extend(self.alarm.command.clone());
            self.alarm.webhook.iter().for_each(|url| needs.posts_to(url.reveal()));
            needs.reads_authorities();
            needs.ports.extend(PROXIES.iter().filter_map(|name| port_of(&std::env::var(name).ok()?)));
        }
        needs.ports.sort_unstable();
        needs.ports.dedup();
        needs
    }
}

impl Config {
    /// The page reads the files that say where mail goes, each alone: beside them there may be passwords.
    fn needs_of_page(&self) -> SandboxNeeds {
        let lists = self.list.iter().filter_map(|list| list.members_file.clone());
        let sockets = self.serve.addresses.iter().filter_map(socket_folder);
        let calls = if self.log.to == LogTo::Stderr { SystemReach::NoConnections } else { SystemReach::Little };
        SandboxNeeds {
            // A file that is not there would open the folder above it.
            read: self.aliases.file.iter().cloned().chain(lists).filter(|file| file.exists()).collect(),
            write: self.log.file.iter().map(|file| folder_of(file)).chain([self.spool.clone()]).collect(),
            remove: sockets.collect(),
            system: calls,
            ..SandboxNeeds::default()
        }
    }
}

impl SandboxNeeds {
    fn reads(&mut self, file: &Path) {
        self.read.push(folder_of(file));
        self.read.extend(file.canonicalize().ok().map(|target| folder_of(&target)));
    }

    fn posts_to(&mut self, url: &str) {
        self.ports.extend(port_of(url));
        self.reads_authorities();
    }

    fn asks(&mut self, question: &DatabaseQuestion) {
        self.ports.extend(question.url.port());
        question.url.file().into_iter().for_each(|file| self.reads(file));
        question.password.iter().for_each(|secret| self.takes(secret));
        self.reads_authorities();
    }

    fn reads_authorities(&mut self) {
        let named = |name: &&str| std::env::var_os(name);
        self.read.extend(AUTHORITIES.iter().filter_map(named).map(PathBuf::from));
    }

    fn next_hop(&mut self, hop: &RouteSettings) {
        self.ports.extend(hop.next_hop.port());
        self.ports.extend(hop.mta_sts.as_ref().map(|settings| settings.port));
        if let Some(agent) = hop.next_hop.agent() {
            let AgentNeeds { write, read, ports, commands } = agent.needs();
            read.iter().for_each(|file| self.reads(file));
            self.write.extend(write);
            self.ports.extend(ports);
            self.commands.extend(commands);
        }
        self.binds_source |= hop.source.is_some();
        if let Some(Roots::File(file)) = &hop.tls.roots {
            self.reads(file);
        }
        if let Some(identity) = &hop.tls.identity {
            self.reads(&identity.certificate);
            self.reads(&identity.key);
        }
        hop.password.iter().for_each(|secret| self.takes(secret));
        match &hop.token {
            None => {}
            Some(TokenSource::Secret(secret)) => self.takes(secret),
            Some(TokenSource::Grant(grant)) => {
                self.write.push(folder_of(&grant.file));
                self.ports.extend(port_of(&grant.endpoint));
                grant.client_secret.iter().chain(&grant.refresh_token).for_each(|secret| self.takes(secret));
            }
        }
    }

    fn takes(&mut self, secret: &SecretSource) {
        match secret {
            SecretSource::File(file) => self.reads(file),
            SecretSource::Command(line) => self.commands.push(line.clone()),
            SecretSource::Environment(_) => {}
        }
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn socket_folder(address: &ListenAddress) -> Option<PathBuf> {
    match address {
        ListenAddress::Unix(path) => Some(folder_of(path)),
        ListenAddress::Tcp(..) => None,
    }
}

/// Of `https://host:port/path`, where the port may be left out.
fn port_of(url: &str) -> Option<u16> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
    let named = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    named.or(if scheme.eq_ignore_ascii_case("https") { Some(443) } else { Some(80) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(text: &str, task: Task) -> SandboxNeeds {
        Config::parse(text, "leafmail.toml".as_ref()).unwrap().sandbox_needs(task)
    }

    #[test]
    fn a_receiver_needs_its_spool_and_what_it_judges_by() {
        let text = "spool = \"/s\"\n[listen]\naddresses = [\"unix:/run/l/sock\", \"127.0.0.1:25\"]\n[tls]\ncertificate = \
                    \"/c/cert\"\nkey = \"/k/key\"\n[auth]\nusers = \"users\"\n[log]\nfile = \"/v/log\"\n[alarm]\ncommand = \"a\"\n";
        let found = needs(text, Task::Receive);
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(found.read, paths(&["/c", "/k", "."]));
        assert_eq!((found.write, found.remove), (paths(&["/s", "/v"]), paths(&["/run/l"])));
        assert_eq!((found.ports, found.commands), (vec![53], Vec::new()));
    }

    #[test]
    fn a_forwarder_needs_its_next_hops_and_their_credentials_too() {
        let text = "spool = \"/s\"\n[alarm]\ncommand = \"a\"\n[relay]\nurl = \"smtp://u@h:26\"\npassword_command = \"p\"\nsource = \
                    \"10.0.0.1\"\ntls_roots = \"/r/ca\"\n[[relay.fallback]]\nurl = \"smtps://u@h\"\npassword_file = \"/p/w\"\n\
                    [[route]]\nname = \"m\"\nrecipients = [\"@x.example\"]\nurl = \"maildir:/m\"\n";
        let found = needs(text, Task::Forward);
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        // What the environment says of authorities may follow.
        assert_eq!(found.read[..2], paths(&["/r", "/p"]));
        assert_eq!(found.write, paths(&["/s", "/m"]));
        assert!([26, 53, 465].iter().all(|port| found.ports.contains(port)), "{:?}", found.ports);
        assert_eq!((found.commands, found.binds_source), (vec!["p".to_owned(), "a".to_owned()], true));
    }

    #[test]
    fn policies_of_mta_sts_are_fetched_by_https() {
        let text = |key: &str| format!("spool = \"/s\"\n[relay]\nurl = \"mx:\"\n{key}\n");
        assert!(needs(&text("mta_sts = true"), Task::Forward).ports.contains(&443));
        assert!(!needs(&text(""), Task::Forward).ports.contains(&443));
    }

    #[test]
    fn where_a_link_leads_is_needed_too() {
        let folder = tempfile::tempdir().unwrap();
        let (live, archive) = (folder.path().join("live"), folder.path().canonicalize().unwrap().join("archive"));
        for path in [&live, &archive] {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::write(archive.join("key1.pem"), "").unwrap();
        std::os::unix::fs::symlink("../archive/key1.pem", live.join("key.pem")).unwrap();
        let mut found = SandboxNeeds::default();
        found.reads(&live.join("key.pem"));
        assert_eq!(found.read, [live, archive]);
    }

    #[test]
    fn ports_of_urls() {
        for (url, port) in
            [("https://h/x", 443), ("http://[::1]:81/x", 81), ("https://u:p@h:8443", 8443), ("h:3128", 3128)]
        {
            assert_eq!(port_of(url), Some(port), "{url}");
        }
    }
}
