//! The programs that are asked about mail, for `stats` and `doctor`: whether they answer now, and what `smtpd` noticed of them.

use leafmail::address::{Mailbox, escaped};
use leafmail::clock::Timestamp;
use leafmail::config::Config;
use leafmail::helper_states::{HelperTroubles, forget_helper, helper_troubles};
use leafmail::mailing_list::MailingList;
use leafmail::policy::{
    Fallback, HookSettings, JsonHook, Milter, MilterSettings, PolicyService, ServiceSettings, SpamCheck,
    SpamCheckSettings,
};
use leafmail::recipients::{Existence, RecipientCheck, RecipientSettings};
use leafmail::spam::SpamSettings;
use leafmail::transport::{ProbeVerdict, Step};

/// Those of the configuration that give no answer. What cannot be read counts as no trouble, as alarms take it.
pub(super) fn silent(config: &Config) -> HelperTroubles {
    let known = config.helper_programs();
    if known.is_empty() {
        return HelperTroubles::new();
    }
    let mut troubles = helper_troubles(&config.spool.join("routes")).unwrap_or_default();
    troubles.retain(|name, _| known.contains(name));
    troubles
}

/// What `smtpd` noticed of a program that `doctor` asked. If it answered now, the trouble is over, and its alarm.
pub(super) fn noticed(config: &Config, name: &str, asked: &Step) -> Option<Step> {
    let trouble = silent(config).remove(name)?;
    let since = Timestamp::from_millis(trouble.since).listing();
    let found = format!("smtpd: {}; {} questions", trouble.describe(name, &since), trouble.questions);
    if asked.verdict != ProbeVerdict::Ok {
        return Some(Step::fault("noticed", found, "See above."));
    }
    // The next question of smtpd finds out the same.
    let _ = forget_helper(&config.spool.join("routes"), name);
    Some(Step::warning("noticed", found, "Nothing, if it was repaired: it answers doctor, and its alarm ends."))
}

/// Asks a service one question about a client that does not exist.
pub(super) fn policy_service(settings: ServiceSettings) -> Step {
    let (fallback, address) = (settings.fallback, settings.address.clone());
    let asked = || -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(PolicyService::new(settings).probe())
    };
    match asked() {
        Ok(action) => Step::ok("answer", format!("it answers {}", escaped(&action))),
        Err(error) => {
            let then = match fallback {
                Fallback::Defer => "Until it answers, clients are deferred with 451.",
                Fallback::Accept => "Until it answers, mail is accepted without it.",
            };
            let remedy = format!("Start the service, or correct policy_service.address. {then}");
            Step::fault("answer", format!("nothing answers at {address} as a policy service does: {error}"), remedy)
        }
    }
}

/// Agrees with a milter on the protocol; no message is sent.
pub(super) fn milter(settings: MilterSettings) -> Step {
    let (fallback, address) = (settings.fallback, settings.address.clone());
    let asked = || -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(Milter::new(settings).probe())
    };
    match asked() {
        Ok(agreed) => Step::ok("protocol", format!("it speaks {agreed}")),
        Err(error) => {
            let remedy = format!("Start the filter, or correct milter.address. {}", until_then(fallback));
            let error = escaped(&error);
            Step::fault("protocol", format!("nothing answers at {address} as a milter does: {error}"), remedy)
        }
    }
}

/// Asks whether a mailbox exists that nobody has.
pub(super) fn recipient_source(settings: RecipientSettings) -> Step {
    let asked = || -> Result<Option<Existence>, String> {
        let domain = settings.domains.first().ok_or("there is no domain to ask about")?;
        let nobody =
            format!("leafmail-doctor-nobody@{domain}").parse::<Mailbox>().map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let check = RecipientCheck::new(settings);
        runtime.map_err(|error| error.to_string())?.block_on(check.existence(&nobody))
    };
    match asked() {
        Ok(Some(Existence::No)) => Step::ok("answer", "it knows that leafmail-doctor-nobody does not exist"),
        Ok(_) => {
            let remedy =
                "Each recipient is accepted then: let a next hop refuse unknown ones, or use a file or a command.";
            Step::warning("answer", "it says that leafmail-doctor-nobody exists", remedy)
        }
        Err(error) => {
            let remedy =
                "Correct recipients.source, or what it asks; recipients.source_no_answer says what happens until then.";
            Step::fault("answer", format!("it gives no answer: {}", escaped(&error)), remedy)
        }
    }
}

/// Asks a database for the members of a list.
pub(super) fn list_members(list: &MailingList) -> Step {
    match list.members.current() {
        Ok(members) if members.len() == 1 => Step::ok("members", "1 member"),
        Ok(members) => Step::ok("members", format!("{} members", members.len())),
        Err(unknown) => {
            let remedy = "Correct members_database or members_query of the list, or start the database. Its mail waits until then.";
            Step::fault("members", unknown.to_string(), remedy)
        }
    }
}

/// Asks a hook one question about a client that does not exist.
pub(super) fn hook(settings: HookSettings) -> Step {
    let fallback = settings.fallback;
    let asked = || -> Result<&'static str, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(JsonHook::new(settings).probe())
    };
    match asked() {
        Ok(action) => Step::ok("answer", format!("it answers {action}")),
        Err(error) => {
            let schema = "docs/hooks.md has the schema";
            let remedy = format!("Correct the command or the URL; {schema}. {}", until_then(fallback));
            Step::fault("answer", format!("it gives no answer: {}", escaped(&error)), remedy)
        }
    }
}

/// Has the spam filter judge a message that does not exist.
pub(super) fn spam_filter(filter: SpamSettings, settings: SpamCheckSettings) -> Step {
    let (name, fallback) = (filter.program.name(), settings.fallback);
    let asked = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(SpamCheck::new(filter, settings).probe())
    };
    match asked() {
        Ok(score) => Step::ok("score", format!("{name} gives a message that does not exist the score {score}")),
        Err(error) => {
            let remedy = format!("Correct spam.{name}, or start the filter. {}", until_then(fallback));
            Step::fault("score", format!("{name} gives no score: {}", escaped(&error)), remedy)
        }
    }
}

/// What happens while a program does not answer.
fn until_then(fallback: Fallback) -> &'static str {
    match fallback {
        Fallback::Defer => "Until it answers, clients are deferred with 451.",
        Fallback::Accept => "Until it answers, mail is accepted without it.",
    }
}
