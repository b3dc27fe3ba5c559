//! The users, as in the file: lines `name:stored password`; `#` begins a comment.
//!
//! Neither the steps nor their time reveal whether a user exists: for an unknown user the same work is done on a
//! made-up verifier, or on that of another user. The choice depends on the name and the content of the file only, so it
//! is the same each time, and an unknown name costs as much as some known one where the costs differ.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::{ScramKeys, StoredSecret, Verifier, WorkMemory, hmac_sha256};
use crate::smtp::{Mechanism, Mechanisms, Secret};

/// Of keys that are made up, or made of a password that is stored as it is.
const ITERATIONS: u32 = 4_096;

/// Each form that a stored password can have.
const FORMS: [fn(&Verifier) -> bool; 3] = [
    |one| matches!(one, Verifier::Argon2(_)),
    |one| matches!(one, Verifier::Scram(_)),
    |one| matches!(one, Verifier::Plain(_)),
];

/// All users.
#[derive(Debug, Default)]
pub struct Users {
    users: HashMap<String, Verifier>,
    mechanisms: Mechanisms,
    /// The users of each of [`FORMS`], in order.
    by_form: [Vec<String>; FORMS.len()],
    /// From which what is made up for unknown users is derived; as secret as the file itself.
    pepper: [u8; 32],
}

impl Users {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// In words, with the number of the line; never with its content.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut users = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let fault = |reason: String| format!("line {}: {reason}", index + 1);
            let (name, stored) =
                line.split_once(':').ok_or_else(|| fault("expected a user, a colon and a stored password".into()))?;
            if !is_name(name) {
                return Err(fault("expected a user before the colon".into()));
            }
            let verifier = stored.parse().map_err(|error| fault(format!("{error}")))?;
            if users.insert(name.to_owned(), verifier).is_some() {
                return Err(fault("the user is there already".into()));
            }
        }
        Ok(Self::of(users, Sha256::digest(text).into()))
    }

    /// One user alone.
    pub fn one(name: &str, stored: Verifier) -> Self {
        let pepper = Sha256::digest(stored.to_string()).into();
        Self::of(HashMap::from([(name.to_owned(), stored)]), pepper)
    }

    fn of(users: HashMap<String, Verifier>, pepper: [u8; 32]) -> Self {
        let offered =
            |mechanism: &Mechanism| users.values().any(|one: &Verifier| one.mechanisms().contains(*mechanism));
        let mechanisms = Mechanism::ALL.into_iter().filter(offered).collect();
        let by_form = FORMS.map(|is_form| {
            let of_form = users.iter().filter(|(_, one)| is_form(one));
            let mut names: Vec<String> = of_form.map(|(name, _): (&String, &Verifier)| name.clone()).collect();
            names.sort_unstable();
            names
        });
        Self { users, mechanisms, by_form, pepper }
    }

    /// The mechanisms that some user can use.
    pub fn mechanisms(&self) -> Mechanisms {
        self.mechanisms
    }

    /// Whether there is such a user; for the log, never for the client.
    pub fn contains(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// Whether this is the user's password. Slow by design; for a thread that may block. Every form that is in the file
    /// is worked through once, whoever is asked for.
    pub fn check(&self, user: &str, password: &Secret, memory: &mut WorkMemory) -> bool {
        let stored = self.users.get(user);
        let mut right = false;
        for (is_form, names) in FORMS.iter().zip(&self.by_form) {
            let own = stored.filter(|own| is_form(own));
            let worked = own.or_else(|| self.stand_in(user, names));
            let matches = worked.is_some_and(|verifier| verifier.matches(password.reveal(), memory));
            right |= matches & own.is_some();
        }
        right
    }

    /// The user on whose stored password the work is done for one who has none of that form.
    fn stand_in(&self, user: &str, names: &[String]) -> Option<&Verifier> {
        let [first, second, ..] = hmac_sha256(&self.pepper, &[b"stand-in\0", user.as_bytes()]);
        let at = usize::from(u16::from_be_bytes([first, second])).checked_rem(names.len())?;
        self.users.get(&names[at])
    }

    /// What a mechanism wants to know of a user; made up where there is nothing. `None` for PLAIN and LOGIN.
    pub fn find(&self, mechanism: Mechanism, user: &str) -> Option<StoredSecret> {
        let stored = self.users.get(user);
        let made_up = |purpose: &[u8]| hmac_sha256(&self.pepper, &[purpose, b"\0", user.as_bytes()]);
        match mechanism {
            Mechanism::Plain | Mechanism::Login => None,
            Mechanism::CramMd5 => Some(StoredSecret::Secret(match stored {
                Some(Verifier::Plain(secret)) => secret.clone(),
                _ => Secret::new(made_up(b"secret")),
            })),
            Mechanism::ScramSha256 => {
                let (salt, nobody) = (made_up(b"salt"), made_up(b"password"));
                Some(StoredSecret::Keys(self.keys(stored, &salt[..super::SALT], &nobody)))
            }
        }
    }

    /// The keys of a user, or of nobody. Where some users' keys have to be derived, the work is done for each, and all look
    /// as costly for the client.
    fn keys(&self, stored: Option<&Verifier>, salt: &[u8], nobody: &[u8]) -> ScramKeys {
        let iterations = self.users.values().find_map(|one| match one {
            Verifier::Scram(keys) => Some(keys.iterations),
            _ => None,
        });
        let iterations = iterations.unwrap_or(ITERATIONS);
        let secret = match stored {
            Some(Verifier::Plain(secret)) => secret.reveal(),
            _ => nobody,
        };
        let some_are_plain = self.mechanisms.contains(Mechanism::CramMd5);
        let derived = some_are_plain.then(|| ScramKeys::derive(secret, salt, iterations));
        match (stored, derived) {
            (Some(Verifier::Scram(keys)), _) => keys.clone(),
            (_, Some(derived)) => derived,
            (_, None) => ScramKeys {
                iterations,
                salt: salt.to_vec(),
                stored_key: hmac_sha256(nobody, &[b"stored"]),
                server_key: hmac_sha256(nobody, &[b"server"]),
            },
        }
    }
}

/// A name that a line can hold.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('#')
        && !name.contains(|c: char| c == ':' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{AuthStep, Exchange, Form, SALT};

    fn users() -> Users {
        let stored = |form| Verifier::new("right", form, [3; SALT]).unwrap();
        Users::parse(&format!(
            "# the devices\n\nargon:{}\nscram:{}\ncram:{}\n",
            stored(Form::Argon2),
            stored(Form::Scram),
            stored(Form::Cram)
        ))
        .unwrap()
    }

    #[test]
    fn the_right_password_of_each_form_fits_and_no_other() {
        let users = users();
        let check = |user: &str, password: &str| users.check(user, &Secret::new(password), &mut WorkMemory::default());
        for user in ["argon", "scram", "cram"] {
            assert!(check(user, "right"), "{user}");
            assert!(!check(user, "wrong"), "{user}");
        }
        assert!(!check("nobody", "right"), "somebody else's password");
        assert_eq!(users.mechanisms().to_string(), "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN");
    }

    #[test]
    fn the_work_for_an_unknown_user_is_that_for_some_user_and_the_same_each_time() {
        let text: String = (0..8).map(|n| format!("user{n}:{{PLAIN}}{n}\n")).collect();
        let users = Users::parse(&text).unwrap();
        let stand_in = |user: &str| users.stand_in(user, &users.by_form[2]).map(|found| found.to_string());
        let found: Vec<_> = (0..100).map(|n| stand_in(&format!("nobody{n}")).unwrap()).collect();
        assert_eq!(found, (0..100).map(|n| stand_in(&format!("nobody{n}")).unwrap()).collect::<Vec<_>>());
        assert!(found.iter().any(|one| *one != found[0]), "not the same cost for all that are unknown");
        assert!(users.stand_in("nobody", &users.by_form[0]).is_none(), "no user has that form");
    }

    #[test]
    fn only_what_some_user_can_use_is_offered() {
        let argon = Verifier::new("x", Form::Argon2, [3; SALT]).unwrap();
        assert_eq!(Users::parse(&format!("a:{argon}")).unwrap().mechanisms().to_string(), "PLAIN LOGIN");
        assert!(Users::parse("").unwrap().mechanisms().is_empty());
    }

    #[test]
    fn an_unknown_user_takes_the_same_steps_each_time() {
        let steps = |user: &str| {
            let users = users();
            let mut exchange = Exchange::new(Mechanism::ScramSha256, "n".to_owned());
            exchange.respond(format!("n,,n={user},r=x").as_bytes());
            exchange.found(users.find(Mechanism::ScramSha256, user).unwrap())
        };
        let AuthStep::Challenge(first) = steps("nobody") else { panic!() };
        assert_eq!(AuthStep::Challenge(first.clone()), steps("nobody"), "the same salt each time");
        assert_ne!(AuthStep::Challenge(first.clone()), steps("nobody2"), "a salt of its own");
        let AuthStep::Challenge(known) = steps("scram") else { panic!() };
        assert_eq!(known.len(), first.len());
        let mut exchange = Exchange::new(Mechanism::CramMd5, "n".to_owned());
        exchange.respond(b"nobody 00000000000000000000000000000000");
        let found = users().find(Mechanism::CramMd5, "nobody").unwrap();
        assert_eq!(exchange.found(found), AuthStep::Failed("nobody".to_owned()));
    }

    #[test]
    fn a_slip_names_its_line_and_not_its_content() {
        for (text, line) in
            [("\nhunter2", 2), ("a:hunter2", 1), (":{PLAIN}hunter2", 1), ("a:{PLAIN}x\na:{PLAIN}hunter2", 2)]
        {
            let error = Users::parse(text).unwrap_err();
            assert!(error.starts_with(&format!("line {line}: ")) && !error.contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", users()).contains("right"));
    }
}
