//! `[[hook]]`: coprocesses and URLs that decide about clients and mail.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::config::alarm::Webhook;
use crate::config::error::{Fault, unexpected};
use crate::config::values::{self, FromText};
use crate::policy::{Discarding, Fallback, HookSettings, HookStage, HookTarget, ListenerPattern, Listeners};

/// `[[hook]]`: a command that keeps running, or a URL. They are asked in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookSection {
    /// A command for the shell, which answers lines of JSON.
    #[serde(deserialize_with = "values::optional")]
    pub command: Option<String>,
    /// A URL that answers each POST.
    #[serde(deserialize_with = "values::optional")]
    pub url: Option<Webhook>,
    /// When it is asked; never empty.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub stages: Vec<HookStage>,
    /// How long an answer may take: 1 s to 4 min, as RFC 5321 4.5.3.2 has clients wait 5 min.
    #[serde(deserialize_with = "values::duration::<1, 240, _>")]
    pub timeout: Duration,
    /// The answer where it gives none.
    #[serde(deserialize_with = "values::text")]
    pub no_answer: Fallback,
    /// Clients that it is not asked about.
    #[serde(deserialize_with = "values::list")]
    pub except: Vec<IpNet>,
    /// The addresses of this relay at which clients connect that it is about; none: all.
    #[serde(deserialize_with = "values::list")]
    pub listeners: Vec<ListenerPattern>,
    /// Whether it is not asked about clients that logged in.
    pub except_logins: bool,
    /// Whether a message vanishes where it answers so.
    pub discard: bool,
    /// Octets of a body that it gets: 0 to 10 MB.
    #[serde(deserialize_with = "values::size::<0, 10_000_000, _>")]
    pub contents: u64,
}

impl Default for HookSection {
    fn default() -> Self {
        Self {
            command: None,
            url: None,
            stages: vec![HookStage::Data],
            timeout: Duration::from_secs(30),
            no_answer: Fallback::Defer,
            except: Vec::new(),
            listeners: Vec::new(),
            except_logins: false,
            discard: false,
            contents: 512 * 1024,
        }
    }
}

impl HookSection {
    /// Whether it is asked about logins.
    pub(in crate::config) fn decides_logins(&self) -> bool {
        self.stages.contains(&HookStage::Auth)
    }

    /// The hook of this number, as the policy takes it; `None` without a command or a URL, which is a fault.
    pub(in crate::config) fn settings(&self, index: usize, host: &str, routes: &[String]) -> Option<HookSettings> {
        let url = || self.url.as_ref().map(|url| HookTarget::Url(url.reveal().to_owned()));
        Some(HookSettings {
            name: format!("hook[{index}]"),
            host: host.to_owned(),
            target: self.command.clone().map(HookTarget::Command).or_else(url)?,
            stages: self.stages.clone(),
            timeout: self.timeout,
            fallback: self.no_answer,
            except: self.except.clone(),
            listeners: Listeners::new(self.listeners.clone()),
            except_logins: self.except_logins,
            discarding: if self.discard { Discarding::Allowed } else { Discarding::Held },
            routes: routes.to_vec(),
            contents: usize::try_from(self.contents).unwrap_or(usize::MAX),
        })
    }
}

/// A hook that is asked nowhere, or at two places.
pub(in crate::config) fn faults(hooks: &[HookSection]) -> Vec<Fault> {
    let fault = |(index, hook): (usize, &HookSection)| {
        let place = format!("hook[{index}]");
        match (&hook.command, &hook.url) {
            (None, None) => {
                let reason = format!("{place} is asked nowhere; set {place}.command or {place}.url");
                Some(Fault::new(place, reason))
            }
            (Some(_), Some(_)) => {
                let reason = format!("{place} has a command and a URL; make two [[hook]] of it");
                Some(Fault::new(format!("{place}.url"), reason))
            }
            (None, Some(url)) if hook.decides_logins() && !url.is_private() => {
                let reason = format!(
                    "{place} is asked about passwords (stages), which its URL would send in clear text; use https:, a loopback \
                     address or {place}.command"
                );
                Some(Fault::new(format!("{place}.url"), reason))
            }
            (None, Some(_)) if !cfg!(feature = "webhook") => {
                let reason = "this leafmail was built without the feature webhook; use hook.command instead";
                Some(Fault::new(format!("{place}.url"), reason))
            }
            _ => None,
        }
    };
    hooks.iter().enumerate().filter_map(fault).collect()
}

impl FromText for HookStage {
    const EXPECTED: &'static str = "connect, ehlo, auth, mail, rcpt or data";

    fn from_text(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|stage| stage.word() == text).ok_or_else(|| unexpected(Self::EXPECTED, text))
    }
}
