//! A test double for programs that send mail: it catches all mail, and the test asserts what came.
//!
//! `cargo run --example catch_all` prints what comes to 127.0.0.1:2528 as JSON, one message a line, until it is stopped.

use std::error::Error;
use std::time::Duration;

use leafmail::server::{Inbox, Server, StructuredMail};

/// What a test of yours does: `send` is the program under test, which gets the address of the server.
#[allow(dead_code, reason = "a test calls it")]
pub(crate) fn mail_of(send: impl FnOnce(&str)) -> Result<Vec<StructuredMail>, Box<dyn Error>> {
    let inbox = Inbox::default();
    let server = Server::builder("test.example").listen("127.0.0.1:0").start(inbox.clone())?;
    send(&server.addresses()[0].to_string());
    let mail = inbox.wait_for(1, Duration::from_secs(30));
    server.stop()?;
    Ok(mail)
}

#[allow(dead_code, clippy::print_stdout, reason = "a program for a terminal, of which a test uses only what is above")]
fn main() -> Result<(), Box<dyn Error>> {
    let inbox = Inbox::default();
    let _server = Server::builder("test.example").listen("127.0.0.1:2528").start(inbox.clone())?;
    loop {
        inbox.wait_for(1, Duration::from_secs(3600));
        for mail in inbox.take() {
            println!("{}", serde_json::to_string(&mail)?);
        }
    }
}
