//! The addresses and lists that VRFY and EXPN may reveal (RFC 5321 3.5): the configured ones, never a guess; and the
//! queue, of which XMAILQ shows a user of this host its own mail.
//!
//! Names are compared without regard to case, and answered as configured. XMAILQ exists only for clients that the kernel
//! names; for all others it is an unknown verb.

use super::{Action, MailQuery, OpenQuestion, Question, Session};
use crate::address::{Domain, Mailbox};
use crate::smtp::{CommandError, Reply, catalogue};

impl Session {
    /// XMAILQ.
    pub(super) fn list_mail(&mut self, argument: &str) {
        let Some(uid) = self.local_user().map(|user| user.uid) else {
            return self.reply(&catalogue::bad_command(&CommandError::Unknown));
        };
        let json = match argument.to_ascii_uppercase().as_str() {
            "" => false,
            "JSON" => true,
            _ => return self.reply(&catalogue::bad_command(&CommandError::Syntax("XMAILQ [JSON]"))),
        };
        self.actions.push_back(Action::ListMail(MailQuery { uid, json }));
        self.open_question = Some(OpenQuestion::MailListed);
    }

    /// The answer to [`Action::ListMail`]: the list, or why there is none.
    pub fn mail_listed(&mut self, list: Result<String, Reply>) {
        let Some(OpenQuestion::MailListed) = self.open_question else { return };
        self.open_question = None;
        match list {
            Ok(list) => self.reply(&catalogue::mail_list(&list)),
            Err(reply) => self.reply(&reply),
        }
        // It brings no mail on its way.
        self.count_junk_command();
    }

    /// VRFY: what is not configured may be known to the policy.
    pub(super) fn answer_vrfy(&mut self, argument: &str) {
        let (reply, (name, utf8)) = (self.verify(argument), split_argument(argument));
        let name = name.strip_prefix('<').and_then(|name| name.strip_suffix('>')).unwrap_or(name);
        let is_asked = |mailbox: &Mailbox| {
            self.settings.directory.asked_domains.contains(mailbox.domain()) && (utf8 || mailbox.is_ascii())
        };
        match name.parse::<Mailbox>().ok().filter(|mailbox| reply.code() == 252 && is_asked(mailbox)) {
            Some(mailbox) => self.ask(Question::Verify(mailbox.clone()), OpenQuestion::Verify(mailbox)),
            None => self.reply(&reply),
        }
    }

    /// The policy does not confirm it: it does not exist, or that is not known now.
    pub(super) fn refuse_vrfy(&mut self, mailbox: Mailbox, reply: Reply) {
        match reply.code() {
            500.. => self.reject("VRFY", reply, None, Some(mailbox)),
            _ => self.reply(&catalogue::cannot_verify()),
        }
    }

    /// The answer to VRFY.
    fn verify(&self, argument: &str) -> Reply {
        let (name, utf8) = split_argument(argument);
        let directory = &self.settings.directory;
        let all = directory.addresses.iter().chain(directory.lists.iter().map(|(list, _)| list));
        let found: Vec<&Mailbox> = all.filter(|address| is_named(address, name)).collect();
        match found[..] {
            [] => catalogue::cannot_verify(),
            _ if !utf8 && found.iter().any(|address| !address.is_ascii()) => catalogue::verified_in_utf8(),
            [address] => catalogue::addresses(&[address]),
            _ => catalogue::ambiguous(&found),
        }
    }

    /// EXPN: whether the members are known may be for the policy to say.
    pub(super) fn answer_expn(&mut self, argument: String) {
        let (name, _) = split_argument(&argument);
        let mut lists = self.settings.directory.lists.iter().filter(|(list, _)| is_named(list, name));
        match (lists.next(), lists.next()) {
            (Some((list, members)), None) if members.are_asked_first() => {
                let question = Question::Verify(list.clone());
                self.ask(question, OpenQuestion::Expand(argument));
            }
            _ => self.reply(&self.expand(&argument)),
        }
    }

    /// The answer to EXPN.
    pub(super) fn expand(&self, argument: &str) -> Reply {
        let (name, utf8) = split_argument(argument);
        let directory = &self.settings.directory;
        let mut lists = directory.lists.iter().filter(|(list, _)| is_named(list, name));
        match (lists.next(), lists.next()) {
            (Some((_, members)), None) => match members.current() {
                members if !utf8 && members.iter().any(|member| !member.is_ascii()) => catalogue::verified_in_utf8(),
                members => catalogue::addresses(&members.iter().collect::<Vec<_>>()),
            },
            (Some((first, _)), Some((second, _))) => catalogue::ambiguous(&[first, second]),
            (None, _) if directory.addresses.iter().any(|address| is_named(address, name)) => catalogue::not_a_list(),
            (None, _) => catalogue::cannot_verify(),
        }
    }
}

/// The name, and whether the reply may hold UTF-8 (RFC 6531 3.7.4.2).
fn split_argument(argument: &str) -> (&str, bool) {
    match argument.rsplit_once(' ') {
        Some((name, keyword)) if keyword.eq_ignore_ascii_case("SMTPUTF8") => (name.trim_end(), true),
        _ => (argument, false),
    }
}

/// Whether the argument is this address, or its local part alone; either may be in angle brackets.
fn is_named(address: &Mailbox, name: &str) -> bool {
    let name = name.strip_prefix('<').and_then(|name| name.strip_suffix('>')).unwrap_or(name);
    let same_local = |local: &str| local.to_lowercase() == address.local().to_lowercase();
    match name.rsplit_once('@') {
        Some((local, domain)) => same_local(local) && domain.parse::<Domain>().is_ok_and(|it| it == *address.domain()),
        None => same_local(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_address_or_its_local_part() {
        let address: Mailbox = "Joe.Blow@Example.lan".parse().unwrap();
        for name in ["joe.blow", "<JOE.BLOW>", "joe.blow@example.LAN", "<joe.blow@example.lan>"] {
            assert!(is_named(&address, name), "{name}");
        }
        for name in ["joe", "joe.blow@else.lan", "", "@example.lan", "joe.blow@", "<joe.blow"] {
            assert!(!is_named(&address, name), "{name}");
        }
    }

    #[test]
    fn smtputf8_is_a_parameter_and_no_part_of_the_name() {
        assert_eq!(split_argument("joe smtputf8"), ("joe", true));
        assert_eq!(split_argument("SMTPUTF8"), ("SMTPUTF8", false));
        assert_eq!(split_argument("joe blow"), ("joe blow", false));
    }
}
