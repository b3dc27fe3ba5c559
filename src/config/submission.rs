//! `[submission]`: how programs of this host hand over mail through the name `sendmail`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Config, ListenAddress, values};

/// `[submission]`: submission by the programs of this host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Submission {
    /// The Unix socket that `sendmail` connects to where `listen.addresses` has none.
    #[serde(deserialize_with = "values::text")]
    pub socket: PathBuf,
}

impl Default for Submission {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/leafmail/smtp.sock") }
    }
}

impl Config {
    /// The Unix socket of the receiver: the first that it listens on, else the one that a super-server is to have.
    pub fn submission_socket(&self) -> &Path {
        let own = self.listen.addresses.iter().find_map(|address| match address {
            ListenAddress::Unix(path) => Some(path.as_path()),
            ListenAddress::Tcp(..) => None,
        });
        own.unwrap_or(&self.submission.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
