//! Access tokens fetched from the provider (RFC 6749 4.4 and 6), with the feature `oauth2`.
//!
//! The token is kept in a file that only its owner can read, so that all connections and processes of a route share it. No
//! wall clock is read: a token's age is that of its file. Secrets go to the endpoint alone, and into no error.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::secret::Password;
use super::token::Freshness;
use crate::small_file::{self, FileSync, Writers, beside};
use crate::transport::settings::TokenGrant;

/// A provider that takes longer is in trouble.
const PATIENCE: Duration = Duration::from_secs(30);
/// Answers are a few kilobytes.
const MAX_ANSWER: u64 = 64 * 1024;
/// A token that expires within this is not begun with.
const MARGIN: u64 = 60;
/// RFC 6749 5.1 only recommends `expires_in`; most providers mean an hour.
const ASSUMED_LIFE: u64 = 3600;

/// What is kept in the file.
#[derive(Serialize, Deserialize)]
struct Kept {
    access_token: String,
    /// Seconds from the writing of the file.
    expires_in: u64,
    /// The one that took the place of the configured one (RFC 6749 6).
    refresh_token: Option<String>,
    /// Of which configuration this is the token, so that a changed one does not use it.
    origin: String,
}

/// RFC 6749 5.1 and 5.2.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_in: Option<serde_json::Value>,
    refresh_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// The secrets of one request, read from their files.
struct Secrets {
    client: Option<Password>,
    refresh: Option<Password>,
}

impl TokenGrant {
    /// The token that is kept, or a new one.
    pub(in crate::transport) fn token(&self, freshness: Freshness) -> Result<Password, String> {
        let _ours = self.lock().map_err(|error| format!("locking the token file {}: {error}", self.file.display()))?;
        let secrets = Secrets {
            client: self.client_secret.as_ref().map(super::SecretSource::read).transpose()?,
            refresh: self.refresh_token.as_ref().map(super::SecretSource::read).transpose()?,
        };
        let origin = self.origin(&secrets);
        let kept = self.kept(&origin);
        if let (Freshness::Kept, Some((kept, age))) = (freshness, &kept)
            && age.saturating_add(MARGIN) < kept.expires_in
        {
            log::debug!("the access token in {} is {age} s old, of {} s", self.file.display(), kept.expires_in);
            return Ok(Password::new(&kept.access_token));
        }
        let rotated = kept.and_then(|(kept, _)| kept.refresh_token);
        let fetched = self.fetch(&secrets, rotated.as_deref(), origin)?;
        let saved = self.save(&fetched);
        if let Err(error) = saved {
            // The token is good all the same; but a rotated refresh token may now be lost.
            log::warn!("keeping the access token in {}: {error}", self.file.display());
        }
        log::debug!("fetched an access token from {}, good for {} s", self.host(), fetched.expires_in);
        Ok(Password::new(&fetched.access_token))
    }

    /// One request at a time, of all processes: a refresh token may be good for one use only.
    fn lock(&self) -> io::Result<File> {
        if let Some(folder) = self.file.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let lock = beside(&self.file, "lock");
        // Neither a link nor a pipe may lead astray or block.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(lock)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn origin(&self, secrets: &Secrets) -> String {
        let refresh = secrets.refresh.as_ref().map_or("", Password::reveal);
        let scope = self.scope.as_deref().unwrap_or("");
        let whole = [self.endpoint.as_str(), &self.client_id, scope, refresh].join("\0");
        Sha256::digest(whole).iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// What the file holds, and its age in seconds. A file that cannot be understood, or from the future, holds nothing.
    fn kept(&self, origin: &str) -> Option<(Kept, u64)> {
        // A pipe would be waited for.
        let is_ours = |metadata: &fs::Metadata| metadata.is_file() && metadata.len() <= MAX_ANSWER;
        fs::metadata(&self.file).ok().filter(is_ours)?;
        let octets = fs::read(&self.file).ok().filter(|octets| octets.len() as u64 <= MAX_ANSWER)?;
        let kept: Kept = serde_json::from_slice(&octets).ok()?;
        let age = fs::metadata(&self.file).and_then(|metadata| metadata.modified()).ok()?.elapsed().ok();
        (kept.origin == origin).then(|| (kept, age.map_or(u64::MAX, |age| age.as_secs())))
    }

    fn save(&self, kept: &Kept) -> io::Result<()> {
        // Synced, because a rotated refresh token exists nowhere else.
        small_file::replace(&self.file, &serde_json::to_vec(kept)?, Writers::One, FileSync::Synced)
    }

    fn fetch(&self, secrets: &Secrets, rotated: Option<&str>, origin: String) -> Result<Kept, String> {
        let refresh = rotated.or(secrets.refresh.as_ref().map(Password::reveal));
        let mut form = vec![("client_id", self.client_id.as_str())];
        match refresh {
            Some(refresh) => form.extend([("grant_type", "refresh_token"), ("refresh_token", refresh)]),
            None => form.push(("grant_type", "client_credentials")),
        }
        form.extend(secrets.client.as_ref().map(|secret| ("client_secret", secret.reveal())));
        form.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        let answer = self.post(&form)?;
        let failed = |what: &str| Err(format!("fetching an access token from {}: {what}", self.host()));
        if let Some(error) = answer.error {
            let told = format!("{error}: {}", answer.error_description.unwrap_or_default());
            let secret = |name: &str| matches!(name, "refresh_token" | "client_secret");
            let hidden = form.iter().filter(|(name, _)| secret(name));
            return failed(&hidden.fold(told, |told, (_, secret)| told.replace(secret, "***")));
        }
        // A token that could not be sent (RFC 6750 2.1) would only break the login.
        let good = |token: &String| !token.is_empty() && token.bytes().all(|octet| octet.is_ascii_graphic());
        match answer.access_token.filter(good) {
            None => failed("expected an access_token in the answer, but found none"),
            Some(access_token) => Ok(Kept {
                access_token,
                expires_in: answer.expires_in.as_ref().and_then(seconds).unwrap_or(ASSUMED_LIFE),
                refresh_token: answer.refresh_token.or_else(|| rotated.map(str::to_owned)),
                origin,
            }),
        }
    }

    fn post(&self, form: &[(&str, &str)]) -> Result<Answer, String> {
        let failed = |what: &dyn std::fmt::Display| format!("fetching an access token from {}: {what}", self.host());
        if !Self::is_endpoint(&self.endpoint) {
            return Err(failed(&"expected https:, or http: to this host itself"));
        }
        // A redirection would take the secrets elsewhere.
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0);
        let config = config.max_redirects_will_error(false).http_status_as_error(false).proxy(None).build();
        let agent = ureq::Agent::new_with_config(config);
        let sent = agent.post(&self.endpoint).header("Accept", "application/json").send_form(form.iter().copied());
        let mut response = sent.map_err(|error| failed(&error))?;
        let status = response.status();
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let text = text.map_err(|error| failed(&error))?;
        // Errors come as JSON with a status of 400 or 401 (RFC 6749 5.2). What is no JSON is not repeated.
        serde_json::from_str(&text)
            .map_err(|_| failed(&format_args!("expected JSON, but found another answer ({status})")))
    }

    /// The endpoint as errors name it, without path and query.
    fn host(&self) -> &str {
        self.endpoint.split('/').nth(2).unwrap_or("the provider")
    }
}

/// Some providers write the number as a text.
fn seconds(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::SecretSource;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Mutex};

    /// A token endpoint that gives these answers in turn, and keeps the forms that it got.
    struct Provider {
        url: String,
        forms: Arc<Mutex<Vec<String>>>,
        folder: tempfile::TempDir,
    }

    impl Provider {
        fn new(answers: &[(&str, &str)]) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/token", listener.local_addr().unwrap());
            let forms = Arc::new(Mutex::new(Vec::new()));
            let answers: Vec<_> = answers.iter().map(|(status, body)| (status.to_string(), body.to_string())).collect();
            let kept = forms.clone();
            std::thread::spawn(move || {
                for (status, body) in answers {
                    let mut stream = BufReader::new(listener.accept().unwrap().0);
                    let mut length = 0;
                    loop {
                        let mut line = String::new();
                        stream.read_line(&mut line).unwrap();
                        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        if line == "\r\n" {
                            break;
                        }
                    }
                    let mut form = vec![0; length];
                    stream.read_exact(&mut form).unwrap();
                    kept.lock().unwrap().push(String::from_utf8(form).unwrap());
                    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
                    let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                    stream.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            });
            Self { url, forms, folder: tempfile::tempdir().unwrap() }
        }

        fn grant(&self, refresh: bool) -> TokenGrant {
            let secret = |name: &str, text: &str| {
                fs::write(self.folder.path().join(name), text).unwrap();
                Some(SecretSource::File(self.folder.path().join(name)))
            };
            TokenGrant {
                endpoint: self.url.clone(),
                client_id: "leafmail".into(),
                client_secret: secret("client", "cl1ent-s3cret\n"),
                refresh_token: if refresh { secret("refresh", "refresh-1\n") } else { None },
                scope: Some("smtp send".into()),
                file: self.folder.path().join("routes/relay.token"),
            }
        }

        fn forms(&self) -> Vec<String> {
            self.forms.lock().unwrap().clone()
        }
    }

    fn token(grant: &TokenGrant, freshness: Freshness) -> String {
        grant.token(freshness).unwrap().reveal().to_owned()
    }

    #[test]
    fn a_token_is_fetched_once_and_kept_for_its_owner_alone() {
        let provider =
            Provider::new(&[("200 OK", r#"{"access_token":"t-1","expires_in":3600,"token_type":"Bearer"}"#)]);
        let grant = provider.grant(false);
        assert_eq!((token(&grant, Freshness::Kept), token(&grant, Freshness::Kept)), ("t-1".into(), "t-1".into()));
        let form = "client_id=leafmail&grant_type=client_credentials&client_secret=cl1ent-s3cret&scope=smtp+send";
        assert_eq!(provider.forms(), [form]);
        assert_eq!(fs::metadata(&grant.file).unwrap().permissions().mode() & 0o777, 0o600);
        // For another client it is no token.
        assert!(TokenGrant { client_id: "other".into(), ..grant.clone() }.kept("x").is_none());
    }

    #[test]
    fn a_refused_or_expired_token_is_fetched_anew_by_the_newest_refresh_token() {
        let provider = Provider::new(&[
            ("200 OK", r#"{"access_token":"t-1","expires_in":"3600","refresh_token":"refresh-2"}"#),
            ("200 OK", r#"{"access_token":"t-2","expires_in":30}"#),
            ("200 OK", r#"{"access_token":"t-3"}"#),
        ]);
        let grant = provider.grant(true);
        assert_eq!(token(&grant, Freshness::Kept), "t-1");
        assert_eq!(token(&grant, Freshness::New), "t-2");
        // 30 s is within the margin.
        assert_eq!(token(&grant, Freshness::Kept), "t-3");
        assert_eq!(token(&grant, Freshness::Kept), "t-3");
        let used: Vec<_> = provider.forms().iter().map(|form| form.contains("refresh_token=refresh-2")).collect();
        assert_eq!(used, [false, true, true]);
        assert!(provider.forms()[0].contains("grant_type=refresh_token&refresh_token=refresh-1"));
    }

    #[test]
    fn what_the_provider_says_is_told_without_secrets() {
        let provider = Provider::new(&[
            (
                "400 Bad Request",
                r#"{"error":"invalid_grant","error_description":"refresh-1 of cl1ent-s3cret expired"}"#,
            ),
            ("502 Bad Gateway", "<html>refresh-1</html>"),
            ("302 Found", "{}"),
        ]);
        let grant = provider.grant(true);
        let error = grant.token(Freshness::Kept).unwrap_err();
        assert!(error.ends_with("invalid_grant: *** of *** expired"), "{error}");
        let error = grant.token(Freshness::Kept).unwrap_err();
        assert!(error.contains("502") && !error.contains("refresh-1"), "{error}");
        assert!(grant.token(Freshness::Kept).unwrap_err().contains("expected an access_token"));
        assert!(!grant.file.exists());
    }

    #[test]
    fn secrets_go_nowhere_in_the_clear() {
        let provider = Provider::new(&[]);
        let grant = TokenGrant { endpoint: "http://192.0.2.1/token".into(), ..provider.grant(true) };
        assert!(grant.token(Freshness::Kept).unwrap_err().contains("expected https:"));
    }
}
