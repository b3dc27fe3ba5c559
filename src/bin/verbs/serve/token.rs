//! `spoolrun token`: makes, lists and revokes tokens.

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use leafmail::clock::{Clock, Timestamp};
use leafmail::config::Config;
use leafmail::page::{PageRole, TokenError, TokenFile};
use leafmail::sys::SystemClock;
use serde_json::json;
use sysexits::ExitCode;

use super::super::existing::existing_spool;
use super::super::listing::say;
use crate::cli::OrExit;

/// What is to be done with which token.
#[derive(Debug, Args)]
pub(crate) struct TokenOptions {
    /// What is done
    #[arg(value_enum)]
    action: TokenAction,
    /// Name of the token
    #[arg(required_if_eq_any([("action", "new"), ("action", "revoke")]))]
    name: Option<String>,
    /// What it allows: read, act (change messages and routes), content (fetch messages); repeatable
    ///
    /// Who may act or fetch may read too.
    #[arg(long, value_name = "ROLE", default_value = "read")]
    role: Vec<PageRole>,
    /// Print JSON, one object per line
    #[arg(short = 'j', long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TokenAction {
    /// Make one and print it
    New,
    /// List them, without the tokens themselves
    List,
    /// Make one invalid
    Revoke,
}

/// Does it.
pub(crate) fn token(config: &Config, options: &TokenOptions) -> anyhow::Result<()> {
    // As its user, in its folder.
    existing_spool(config)?;
    let file = TokenFile::of_spool(&config.spool);
    let name = options.name.as_deref().unwrap_or_default();
    match options.action {
        TokenAction::New => {
            let token = file.add(name, &options.role, SystemClock.now()).or_else(refused)?;
            say(&match options.json {
                true => format!("{}\n", json!({ "name": name, "token": token })),
                false => format!("{token}\n"),
            })
        }
        TokenAction::Revoke => {
            file.revoke(name).or_else(refused)?;
            say(&match options.json {
                true => format!("{}\n", json!({ "name": name, "result": "revoked" })),
                false => format!("token {name}: revoked\n"),
            })
        }
        TokenAction::List => {
            for token in file.list().or_else(refused)? {
                let (roles, made) = (token.roles(), Timestamp::from_millis(token.created));
                say(&match options.json {
                    true => format!(
                        "{}\n",
                        json!({ "name": token.name, "roles": roles.to_string(), "created": made.rfc3339() })
                    ),
                    false => format!("{:<20} {:<18} {}\n", token.name, roles.to_string(), made.listing()),
                })?;
            }
            Ok(())
        }
    }
}

fn refused<T>(error: TokenError) -> anyhow::Result<T> {
    let code = match error {
        TokenError::File { .. } => ExitCode::IoErr,
        TokenError::Unknown(_) => ExitCode::NoInput,
        TokenError::Name | TokenError::Exists(_) | TokenError::Full => ExitCode::Usage,
    };
    Err(anyhow!("{error}")).or_exit(code)
}
