//! What must hold between the keys of `[relay]`: one credential for one user, and none that would go to strangers.

use super::Config;
use super::check::Fault;
use crate::transport::AuthMethod;

/// The first contradiction.
pub(super) fn fault(config: &Config) -> Option<Fault> {
    one_credential(config).or_else(|| mechanism(config)).or_else(|| oauth2(config)).or_else(|| trust(config))
}

fn one_credential(config: &Config) -> Option<Fault> {
    let relay = &config.relay;
    let passwords = relay.passwords().into_iter().map(|(key, _)| key);
    let keys: Vec<_> = passwords.chain(relay.tokens(&config.spool).into_iter().map(|(key, _)| key)).collect();
    if let [first, second, ..] = keys.as_slice() {
        let reason = format!("relay.{first} and relay.{second} are both set; keep one of them");
        return Some(Fault::new(format!("relay.{second}"), reason));
    }
    match (relay.user(), keys.first()) {
        (Some(user), None) => {
            let reason = format!(
                "relay.url names the user {user:?}, but there is no password; set relay.password_file, \
                 relay.password_env, relay.password_command, relay.token_file, relay.token_command or [relay.oauth2]"
            );
            Some(Fault::new("relay.url", reason))
        }
        (None, Some(key)) => {
            let reason = format!(
                "relay.{key} is set, but relay.url names no user; write it as smtp://user@host:587 or remove relay.{key}"
            );
            Some(Fault::new(format!("relay.{key}"), reason))
        }
        _ => None,
    }
}

fn mechanism(config: &Config) -> Option<Fault> {
    let relay = &config.relay;
    let token = relay.tokens(&config.spool).first().map(|(key, _)| *key);
    let reason = match (relay.auth, token) {
        (AuthMethod::Auto, _) | (AuthMethod::Xoauth2, Some(_)) => return None,
        (_, Some(key)) => format!("relay.{key} is set, but only relay.auth = \"xoauth2\" uses a token"),
        (AuthMethod::Xoauth2, None) => {
            "relay.auth is xoauth2, but there is no token; set relay.token_file, relay.token_command or [relay.oauth2]"
                .to_owned()
        }
        (_, None) if relay.user().is_none() => "relay.auth is set, but relay.url names no user".to_owned(),
        (_, None) => return None,
    };
    Some(Fault::new("relay.auth", reason))
}

fn oauth2(config: &Config) -> Option<Fault> {
    let oauth2 = &config.relay.oauth2;
    let fault = |key: &str, reason: &str| Some(Fault::new(format!("relay.oauth2.{key}"), reason));
    if oauth2.token_url.is_none() {
        let others = [
            ("client_id", oauth2.client_id.is_some()),
            ("client_secret_file", oauth2.client_secret_file.is_some()),
            ("refresh_token_file", oauth2.refresh_token_file.is_some()),
            ("scope", oauth2.scope.is_some()),
            ("keep_in", oauth2.keep_in.is_some()),
        ];
        let key = others.into_iter().find_map(|(key, set)| set.then_some(key))?;
        return fault(key, "relay.oauth2.token_url is missing, without which nothing here is used");
    }
    if !cfg!(feature = "oauth2") {
        return fault(
            "token_url",
            "this leafmail was built without the feature oauth2; use relay.token_command instead",
        );
    }
    if oauth2.client_id.is_none() {
        return fault("token_url", "relay.oauth2.client_id is missing");
    }
    if oauth2.refresh_token_file.is_none() && oauth2.client_secret_file.is_none() {
        let reason =
            "relay.oauth2 has neither a refresh_token_file nor a client_secret_file; nothing would prove who we are";
        return fault("token_url", reason);
    }
    None
}

fn trust(config: &Config) -> Option<Fault> {
    let relay = &config.relay;
    let fault = |key: &str, reason: &str| Some(Fault::new(format!("relay.{key}"), reason));
    match (&relay.tls_cert, &relay.tls_key) {
        (Some(_), None) => return fault("tls_cert", "relay.tls_cert is set, but relay.tls_key is not"),
        (None, Some(_)) => return fault("tls_key", "relay.tls_key is set, but relay.tls_cert is not"),
        _ => {}
    }
    for (key, set) in [("tls_pin", relay.tls_pin.is_some()), ("tls_cert", relay.tls_cert.is_some())] {
        if set && !relay.verifies() {
            let reason =
                format!("relay.{key} is set, but relay.url does not verify TLS; add ?tls=required, or use smtps:");
            return fault(key, &reason);
        }
    }
    if relay.xclient && relay.user().is_some() {
        // XCLIENT begins the session anew, so that the login would be lost.
        return fault(
            "xclient",
            "relay.xclient is set, but relay.url names a user; a hop that takes XCLIENT knows us by our address",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        Config::parse(text, "leafmail.toml".as_ref()).unwrap().check().map_err(|error| error.to_string())
    }

    #[test]
    fn contradictions_name_the_line_and_the_remedy() {
        for (text, expected) in [
            (
                "[relay]\nurl = \"smtp://u@h\"",
                "leafmail.toml:2: relay.url names the user \"u\", but there is no password",
            ),
            (
                "[relay]\npassword_env = \"P\"",
                "leafmail.toml:2: relay.password_env is set, but relay.url names no user",
            ),
            (
                "[relay]\nurl = \"smtp://u@h\"\npassword_env = \"P\"\npassword_file = \"p\"",
                "leafmail.toml:3: relay.password_file and relay.password_env are both set",
            ),
            (
                "[relay]\nurl = \"smtp://u@h\"\ntoken_file = \"t\"\npassword_file = \"p\"",
                "leafmail.toml:3: relay.password_file and relay.token_file are both set",
            ),
            (
                "[relay]\nurl = \"smtp://u@h\"\ntoken_file = \"t\"\nauth = \"plain\"",
                "leafmail.toml:4: relay.token_file is set, but only relay.auth = \"xoauth2\"",
            ),
            (
                "[relay]\nurl = \"smtp://u@h\"\npassword_env = \"P\"\nauth = \"xoauth2\"",
                "leafmail.toml:4: relay.auth is xoauth2, but there is no token",
            ),
            ("[relay]\nauth = \"plain\"", "leafmail.toml:2: relay.auth is set, but relay.url names no user"),
            ("[relay.oauth2]\nscope = \"s\"", "leafmail.toml:2: relay.oauth2.token_url is missing"),
            (
                "[relay]\nurl = \"smtps://h\"\ntls_cert = \"./c\"",
                "leafmail.toml:3: relay.tls_cert is set, but relay.tls_key",
            ),
            (
                "[relay]\nurl = \"smtp://h\"\ntls_pin = \"sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"",
                "leafmail.toml:3: relay.tls_pin is set, but relay.url does not verify TLS",
            ),
            (
                "[relay]\nurl = \"smtp://u@h\"\npassword_env = \"P\"\nxclient = true",
                "leafmail.toml:4: relay.xclient is set, but relay.url names a user",
            ),
        ] {
            let reason = checked(text).unwrap_err();
            assert!(reason.starts_with(expected), "{reason}");
        }
        assert_eq!(checked("[relay]\nurl = \"smtp://u@h\"\npassword_env = \"P\""), Ok(()));
        assert_eq!(checked("[relay]\nurl = \"smtp://u@h\"\ntoken_command = \"T\"\nauth = \"xoauth2\""), Ok(()));
        assert_eq!(checked("[relay]\nurl = \"smtp://h\"\nxclient = true\nxforward = true"), Ok(()));
    }

    #[test]
    fn tokens_are_fetched_only_where_the_program_can_and_knows_as_whom() {
        let text = "[relay]\nurl = \"smtp://u@h\"\n[relay.oauth2]\ntoken_url = \"https://login.example/token\"\n";
        let whole = format!("{text}client_id = \"me\"\nrefresh_token_file = \"r\"\n");
        if cfg!(feature = "oauth2") {
            assert_eq!(checked(&whole), Ok(()));
            assert!(checked(text).unwrap_err().contains("client_id is missing"));
            assert!(
                checked(&format!("{text}client_id = \"me\"")).unwrap_err().contains("neither a refresh_token_file")
            );
        } else {
            let reason = checked(&whole).unwrap_err();
            assert!(
                reason.starts_with("leafmail.toml:4: this leafmail was built without the feature oauth2"),
                "{reason}"
            );
        }
    }
}
