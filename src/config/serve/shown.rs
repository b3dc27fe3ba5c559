//! The settings of the configuration file, one line each, with secrets hidden.

use toml::Value;

use crate::config::Config;

/// Characters of a value that are shown.
const MOST: usize = 400;

/// A setting in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSetting {
    /// Its key.
    pub key: String,
    /// Its value; a secret is hidden.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

impl Config {
    /// What the file and the command line say, without secrets.
    pub fn shown_settings(&self) -> Vec<ShownSetting> {
        shown_settings(self)
    }
}

fn shown_settings(config: &Config) -> Vec<ShownSetting> {
    let mut settings = Vec::new();
    let said = |key: &str, value: String| ShownSetting { key: key.to_owned(), value, origin: "in effect".to_owned() };
    settings.push(said("hostname", config.hostname.to_string()));
    settings.push(said("spool", config.spool.display().to_string()));
    let Some(path) = config.path() else { return settings };
    let read = std::fs::read_to_string(path).ok().and_then(|text| text.parse::<toml::Table>().ok());
    let origin = path.display().to_string();
    for (key, value) in read.unwrap_or_default() {
        flatten(&key, &value, &origin, &mut settings);
    }
    settings
}

fn flatten(key: &str, value: &Value, origin: &str, settings: &mut Vec<ShownSetting>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                flatten(&format!("{key}.{name}"), value, origin, settings);
            }
        }
        Value::Array(list) if list.iter().all(Value::is_table) && !list.is_empty() => {
            for (place, table) in list.iter().enumerate() {
                flatten(&format!("{key}[{place}]"), table, origin, settings);
            }
        }
        value => {
            let shown: String = shown(key, value).chars().take(MOST).collect();
            settings.push(ShownSetting { key: key.to_owned(), value: shown, origin: origin.to_owned() });
        }
    }
}

/// A value as it is shown: a command may contain a password, and a URL may have one before its host or in its path.
fn shown(key: &str, value: &Value) -> String {
    let last = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
    let is_place = last.ends_with("_file") || last.ends_with("_env") || last.ends_with("_from");
    let is_secret = ["password", "secret", "token", "webhook", "command"].iter().any(|word| last.contains(word));
    if is_secret && !is_place {
        return "(hidden)".to_owned();
    }
    // The path of a web service often is its password.
    let text = value.as_str().unwrap_or_default();
    if let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme)) {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        return if host.len() == rest.len() { text.to_owned() } else { format!("{scheme}://{host}/(hidden)") };
    }
    match value {
        Value::String(text) => without_secrets(text),
        Value::Array(list) => {
            let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), without_secrets);
            list.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        value => value.to_string(),
    }
}

/// A URL without what is before its host, and without its query.
fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        let is_program = ["pipe:", "command:", "exec:"].iter().any(|scheme| text.starts_with(scheme));
        return if is_program {
            format!("{}:(hidden)", text.split(':').next().unwrap_or_default())
        } else {
            text.to_owned()
        };
    };
    let rest = rest.split('?').next().unwrap_or(rest);
    let authority_ends = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_ends);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://(hidden)@{host}{path}"),
        None => format!("{scheme}://{authority}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_the_file_is_shown() {
        let text = "relay.url = \"smtp://user:geheim@mail.example:587\"\nrelay.password = \"geheim\"\n\
                    relay.password_file = \"/etc/leafmail/password\"\nrelay.password_command = \"pass geheim\"\n\
                    alarm.webhook = \"https://hooks.example/geheim\"\n[[hook]]\nurl = \"https://x.example/?key=geheim\"\n\
                    [[event_hook]]\nurl = \"https://hooks.example/T0/geheim\"\n[rewrite.add]\nX-Token = \"geheim\"\n\
                    [[route]]\nurl = \"pipe:geheim\"\nrecipients = [\"@a.example\", \"@b.example\"]\n";
        let mut settings = Vec::new();
        for (key, value) in text.parse::<toml::Table>().unwrap() {
            flatten(&key, &value, "file", &mut settings);
        }
        let lines: Vec<String> = settings.iter().map(|one| format!("{} {}", one.key, one.value)).collect();
        assert!(lines.iter().all(|line| !line.contains("geheim")), "{lines:#?}");
        assert!(lines.contains(&"relay.password_file /etc/leafmail/password".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"route[0].recipients @a.example, @b.example".to_owned()), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("@mail.example:587")), "{lines:#?}");
    }
}
