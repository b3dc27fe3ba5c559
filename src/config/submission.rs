//! `[submission]`: how programs of this host hand over mail through the name `sendmail`.

use std::path::PathBuf;

use serde::Deserialize;

use super::values;
use crate::smtp::long_lines::LongLines;

/// `[submission]`: submission by the programs of this host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubmissionSection {
    /// The Unix socket that `sendmail` connects to where `listen.addresses` has none.
    #[serde(deserialize_with = "values::text")]
    pub socket: PathBuf,
    /// What becomes of lines of more than 998 octets.
    #[serde(deserialize_with = "values::text")]
    pub long_lines: LongLines,
}

impl Default for SubmissionSection {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/leafmail/smtp.sock"), long_lines: LongLines::Wrap }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    #[test]
    fn the_receivers_own_socket_goes_before_the_named_one() {
        let socket = |text: &str| {
            let config = Config::parse(text, Path::new("leafmail.toml")).unwrap();
            config.submission_socket().to_str().unwrap().to_owned()
        };
        assert_eq!(socket(""), "/run/leafmail/smtp.sock");
        assert_eq!(socket("[submission]\nsocket = \"/a\""), "/a");
        let listening =
            "[listen]\naddresses = [\"127.0.0.1:25\", \"unix:/b\", \"unix:/c\"]\n[submission]\nsocket = \"/a\"";
        assert_eq!(socket(listening), "/b");
    }
}
