//! Rules between the keys of each next hop: one credential for one user, and none that would be sent to strangers.

use std::collections::HashMap;

use super::plan::Hop;
use crate::config::Config;
use crate::config::error::Fault;
use crate::transport::{AuthMethod, TokenSource};

/// What is wrong with each next hop.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    let hops = config.hops();
    let of_hop = |hop: &Hop<'_>| {
        one_credential(hop, config).or_else(|| mechanism(hop, config)).or_else(|| oauth2(hop)).or_else(|| trust(hop))
    };
    hops.iter().filter_map(of_hop).chain(shared_token_file(&hops, config)).collect()
}

/// The keys of the tokens that are set.
fn tokens(hop: &Hop<'_>, config: &Config) -> Vec<&'static str> {
    hop.table.tokens(&hop.token_file(config)).into_iter().map(|(key, _)| key).collect()
}

fn one_credential(hop: &Hop<'_>, config: &Config) -> Option<Fault> {
    let (place, names_user) = (&hop.key, hop.user_key());
    let passwords = hop.table.passwords().into_iter().map(|(key, _)| key);
    let keys: Vec<_> = passwords.chain(tokens(hop, config)).collect();
    if let [first, second, ..] = keys.as_slice() {
        let reason = format!("{place}.{first} and {place}.{second} are both set; keep one of them");
        return Some(Fault::new(format!("{place}.{second}"), reason));
    }
    match (hop.user(), keys.first()) {
        // The certificate is the credential; `mechanism` sees to it.
        (Some(_), None) if hop.table.auth == AuthMethod::External => None,
        (Some(user), None) => {
            let reason = format!(
                "{names_user} names the user {user:?}, but there is no password; set {place}.password_file, \
                 {place}.password_env, {place}.password_command, {place}.token_file, {place}.token_command or \
                 {place}.oauth2"
            );
            Some(Fault::new(names_user, reason))
        }
        (None, Some(_)) if hop.takes_token() => None,
        (None, Some(key)) => {
            let reason = format!(
                "{place}.{key} is set, but {names_user} names no user; write it as smtp://user@host:587 or remove \
                 {place}.{key}"
            );
            Some(Fault::new(format!("{place}.{key}"), reason))
        }
        _ => None,
    }
}

fn mechanism(hop: &Hop<'_>, config: &Config) -> Option<Fault> {
    let place = &hop.key;
    let token = tokens(hop, config).first().copied();
    let secret = token.or_else(|| hop.table.passwords().first().map(|(key, _)| *key));
    let auth = hop.table.auth;
    let reason = match (auth, token) {
        (_, Some(key)) if hop.agent().is_some_and(|agent| !agent.takes_token()) => {
            format!("{place}.{key} is set, but {place}.url leads to what takes passwords only")
        }
        (AuthMethod::Auto, _) | (AuthMethod::Xoauth2 | AuthMethod::OauthBearer, Some(_)) => return None,
        (AuthMethod::External, _) if secret.is_some() => format!(
            "{place}.{} is set, but {place}.auth = \"external\" uses the certificate of {place}.tls_cert only",
            secret.unwrap_or_default()
        ),
        (AuthMethod::External, _) if hop.table.tls_cert.is_none() => {
            format!(
                "{place}.auth is external, but there is no client certificate; set {place}.tls_cert and {place}.tls_key"
            )
        }
        (_, Some(key)) => {
            format!("{place}.{key} is set, but only {place}.auth = \"xoauth2\" or \"oauthbearer\" uses a token")
        }
        (AuthMethod::Xoauth2 | AuthMethod::OauthBearer, None) => format!(
            "{place}.auth is {}, but there is no token; set {place}.token_file, {place}.token_command or {place}.oauth2",
            if auth == AuthMethod::Xoauth2 { "xoauth2" } else { "oauthbearer" }
        ),
        (_, None) if hop.user().is_none() => format!("{place}.auth is set, but {} names no user", hop.user_key()),
        (_, None) => return None,
    };
    Some(Fault::new(format!("{place}.auth"), reason))
}

fn oauth2(hop: &Hop<'_>) -> Option<Fault> {
    let (place, oauth2) = (&hop.key, &hop.table.oauth2);
    let fault = |key: &str, reason: String| Some(Fault::new(format!("{place}.oauth2.{key}"), reason));
    if oauth2.token_url.is_none() {
        let others = [
            ("client_id", oauth2.client_id.is_some()),
            ("client_secret_file", oauth2.client_secret_file.is_some()),
            ("refresh_token_file", oauth2.refresh_token_file.is_some()),
            ("scope", oauth2.scope.is_some()),
            ("keep_in", oauth2.keep_in.is_some()),
        ];
        let key = others.into_iter().find_map(|(key, set)| set.then_some(key))?;
        return fault(key, format!("{place}.oauth2.token_url is missing, without which nothing here is used"));
    }
    if !cfg!(feature = "oauth2") {
        return fault(
            "token_url",
            format!("this leafmail was built without the feature oauth2; use {place}.token_command instead"),
        );
    }
    if oauth2.client_id.is_none() {
        return fault("token_url", format!("{place}.oauth2.client_id is missing"));
    }
    if oauth2.refresh_token_file.is_none() && oauth2.client_secret_file.is_none() {
        let reason = format!(
            "{place}.oauth2 has neither a refresh_token_file nor a client_secret_file; nothing would prove who we are"
        );
        return fault("token_url", reason);
    }
    None
}

/// Two kinds of tokens in one file would each be taken for the other.
fn shared_token_file(hops: &[Hop<'_>], config: &Config) -> Option<Fault> {
    let mut seen = HashMap::new();
    hops.iter().find_map(|hop| {
        let tokens = hop.table.tokens(&hop.token_file(config));
        let grant = tokens.into_iter().find_map(|(_, token)| match token {
            TokenSource::Grant(grant) => Some(grant),
            TokenSource::Secret(_) => None,
        })?;
        let (other, first) = seen.entry(grant.file.clone()).or_insert_with(|| (grant.clone(), &hop.key));
        (*other != grant).then(|| {
            let reason =
                format!("{}.oauth2 and {first}.oauth2 keep different tokens in one file; change keep_in", hop.key);
            Fault::new(format!("{}.oauth2.keep_in", hop.key), reason)
        })
    })
}

fn trust(hop: &Hop<'_>) -> Option<Fault> {
    let (place, table) = (&hop.key, hop.table);
    let fault = |key: &str, reason: String| Some(Fault::new(format!("{place}.{key}"), reason));
    match (&table.tls_cert, &table.tls_key) {
        (Some(_), None) => return fault("tls_cert", format!("{place}.tls_cert is set, but {place}.tls_key is not")),
        (None, Some(_)) => return fault("tls_key", format!("{place}.tls_key is set, but {place}.tls_cert is not")),
        _ => {}
    }
    for (key, set) in [("tls_pin", table.tls_pin.is_some()), ("tls_cert", table.tls_cert.is_some())] {
        if set && hop.agent().is_some() {
            let reason =
                format!("{place}.{key} is set, but {place}.url leads to no SMTP server; use {place}.tls_roots");
            return fault(key, reason);
        }
        if set && !hop.verifies() {
            let reason =
                format!("{place}.{key} is set, but {place}.url does not verify TLS; add ?tls=required, or use smtps:");
            return fault(key, reason);
        }
    }
    if table.xclient && hop.user().is_some() {
        // XCLIENT begins the session again, so that the login would be lost.
        let reason = format!(
            "{place}.xclient is set, but {} names a user; a hop that takes XCLIENT knows us by our address",
            hop.user_key()
        );
        return fault("xclient", reason);
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
        for (text, expected) in [
            (
                "url = \"smtp://u@h\"\nauth = \"external\"",
                "leafmail.toml:3: relay.auth is external, but there is no client",
            ),
            (
                "url = \"smtp://u@h\"\nauth = \"external\"\npassword_env = \"P\"\ntls_cert = \"c\"\ntls_key = \"k\"",
                "leafmail.toml:3: relay.password_env is set, but relay.auth = \"external\" uses the certificate",
            ),
            (
                "url = \"smtp://u@h\"\nauth = \"oauthbearer\"\npassword_env = \"P\"",
                "leafmail.toml:3: relay.auth is oauthbearer, but",
            ),
            (
                "auth = \"external\"\ntls_cert = \"c\"\ntls_key = \"k\"",
                "leafmail.toml:2: relay.auth is set, but relay.url names no user",
            ),
        ] {
            let reason = checked(&format!("[relay]\n{text}")).unwrap_err();
            assert!(reason.starts_with(expected), "{reason}");
        }
        let external = "[relay]\nurl = \"smtps://u@h\"\nauth = \"external\"\ntls_cert = \"c\"\ntls_key = \"k\"";
        assert_eq!(checked(external), Ok(()));
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
