//! Real replies, word for word but for names and addresses, and whose trouble each is. The sources are in `docs/replies.md`.

use super::*;

const ACCOUNT: Scope = Scope::Account;
const SERVICE: Scope = Scope::Service;
const RECIPIENT: Scope = Scope::Recipient;
const MESSAGE: Scope = Scope::Message;

fn parsed(text: &str) -> Reply {
    Reply::parse(text.replace('|', "\r\n").as_bytes()).unwrap()
}

/// Each reply at a stage where it is given; lines are separated by `|`.
fn check(replies: &[(Stage, &str, Scope)]) {
    for (stage, text, expected) in replies {
        let reply = parsed(text);
        assert_eq!(scope(*stage, &reply), *expected, "{stage:?} {text}");
        let ruled = disposition(*stage, &reply);
        match (expected, stage) {
            (scope, Stage::EndOfData) if scope.is_route() => {
                assert_eq!(ruled, Disposition::Deferred, "{text}");
                assert_eq!(route_trouble(&reply).is_some(), *scope == Scope::Account, "{text}");
            }
            (scope, _) if scope.is_route() => assert_eq!(ruled, Disposition::Route, "{text}"),
            _ => {
                assert!(matches!(ruled, Disposition::Deferred | Disposition::Failed), "{text}");
                assert_eq!(route_trouble(&reply), None, "{text}");
            }
        }
    }
}

#[test]
fn microsoft() {
    use Stage::{Data, EndOfData, Mail, Rcpt};
    check(&[
        (Mail, "535 5.7.3 Authentication unsuccessful [AM0PR05CA0001.eurprd05.prod.outlook.com]", ACCOUNT),
        (
            Mail,
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. \
             Visit https://aka.ms/smtp_auth_disabled for more information.",
            ACCOUNT,
        ),
        (Mail, "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM", ACCOUNT),
        (Mail, "550 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM", ACCOUNT),
        (Data, "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending", ACCOUNT),
        (EndOfData, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", ACCOUNT),
        (Rcpt, "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", RECIPIENT),
        (EndOfData, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", MESSAGE),
        (EndOfData, "554 5.2.252 SendAsDenied; a@x.example not allowed to send as b@x.example", MESSAGE),
        (
            EndOfData,
            "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process \
             message due to a permanent exception with message Cannot submit message.",
            MESSAGE,
        ),
        (
            EndOfData,
            "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message due to a permanent \
             exception with message WASCL UserAction verdict is not None. Actual verdict is RefuseQuota, ShowTierUpgrade.",
            ACCOUNT,
        ),
        (EndOfData, "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", RECIPIENT),
        (EndOfData, "550 5.1.90 Your message can't be sent because you've reached your daily limit", ACCOUNT),
        (EndOfData, "550 5.1.8 Access denied, bad outbound sender AS(42003)", ACCOUNT),
        (Rcpt, "550 5.7.705 Access denied, tenant has exceeded threshold", ACCOUNT),
        (Rcpt, "550 5.7.708 Access denied, traffic not accepted from this IP", ACCOUNT),
        (Rcpt, "550 5.7.501 Access denied, spam abuse detected", ACCOUNT),
        (Rcpt, "451 4.7.500 Server busy. Please try again later from [192.0.2.1]", ACCOUNT),
        (
            Rcpt,
            "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.",
            ACCOUNT,
        ),
        (Mail, "421 4.3.2 Service not available", SERVICE),
        (EndOfData, "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing", SERVICE),
        (Rcpt, "450 4.7.320 Certificate validation failed", RECIPIENT),
        (Rcpt, "450 4.7.325 certificate-host-mismatch", RECIPIENT),
        (Rcpt, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", RECIPIENT),
        (EndOfData, "550 5.7.509 Access denied, sending domain x.example does not pass DMARC verification", MESSAGE),
    ]);
}

#[test]
fn google() {
    use Stage::{EndOfData, Mail, Rcpt};
    check(&[
        (
            Mail,
            "535-5.7.8 Username and Password not accepted. For more information, go to|535 5.7.8  Learn more",
            ACCOUNT,
        ),
        (Mail, "534-5.7.9 Application-specific password required. For more information, go to|534 5.7.9 x", ACCOUNT),
        (Mail, "534-5.7.14 Please log in via your web browser and then try again.|534 5.7.14 x - gsmtp", ACCOUNT),
        (Mail, "530-5.7.0 Must issue a STARTTLS command first.|530 5.7.0 x - gsmtp", ACCOUNT),
        (Mail, "454 4.7.0 Too many login attempts, please try again later. - gsmtp", ACCOUNT),
        (EndOfData, "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail|550 5.4.5 x", ACCOUNT),
        (Rcpt, "550 5.4.5 Daily SMTP relay limit exceeded for customer. - gsmtp", ACCOUNT),
        (Rcpt, "450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.", ACCOUNT),
        (Mail, "421 4.7.0 Try again later, closing connection. (EHLO) - gsmtp", SERVICE),
        (Mail, "421 4.4.5 Server busy, try again later.", SERVICE),
        (
            EndOfData,
            "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating|421 4.7.28 from your IP",
            ACCOUNT,
        ),
        (Rcpt, "452-4.2.2 The recipient's inbox is out of storage space. Please direct the|452 4.2.2 x", RECIPIENT),
        (Rcpt, "552-5.2.2 The recipient's inbox is out of storage space and inactive.|552 5.2.2 x", RECIPIENT),
        (
            Rcpt,
            "450-4.2.1 The user you are trying to contact is receiving mail at a rate that|450-4.2.1 prevents additional \
             messages from being delivered.|450 4.2.1 x",
            RECIPIENT,
        ),
        (Rcpt, "452 4.5.3 Your message has too many recipients.", RECIPIENT),
        (Rcpt, "550-5.1.1 The email account that you tried to reach does not exist.|550 5.1.1 x", RECIPIENT),
        (
            EndOfData,
            "550-5.7.26 Your email has been blocked because the sender is unauthenticated.|550 5.7.26 x",
            MESSAGE,
        ),
        (EndOfData, "552-5.7.0 This message was blocked because its content presents a potential|552 5.7.0 x", MESSAGE),
        (EndOfData, "552-5.3.4 Your message exceeded Google's message size limits.|552 5.3.4 x", MESSAGE),
    ]);
}

#[test]
fn other_providers() {
    use Stage::{EndOfData, Mail, Rcpt};
    check(&[
        // Amazon SES.
        (EndOfData, "454 Throttling failure: Maximum sending rate exceeded.", ACCOUNT),
        (EndOfData, "454 Throttling failure: Daily message quota exceeded.", ACCOUNT),
        (EndOfData, "554 Message rejected: Sending paused for this account. For more information, check", ACCOUNT),
        (Mail, "535 Authentication Credentials Invalid", ACCOUNT),
        (Mail, "530 Authentication required", ACCOUNT),
        (Mail, "421 Too many concurrent SMTP connections", SERVICE),
        (EndOfData, "451 Temporary service failure", MESSAGE),
        (
            EndOfData,
            "554 Message rejected: Email address is not verified. The following identities failed the check in region \
             EU-WEST-1: a@x.example",
            MESSAGE,
        ),
        // SendGrid.
        (Mail, "451 Authentication failed: Maximum credits exceeded", ACCOUNT),
        (Mail, "550 Unauthenticated senders not allowed", ACCOUNT),
        (EndOfData, "550 The from address does not match a verified Sender Identity.", MESSAGE),
        // Mailgun.
        (
            EndOfData,
            "421 Domain x.mailgun.org is not allowed to send: Please activate your Mailgun account. Check your inbox",
            ACCOUNT,
        ),
        (
            Rcpt,
            "421 Domain x.mailgun.org is not allowed to send: Sandbox subdomains are for test purposes only. Please add",
            RECIPIENT,
        ),
        (
            Rcpt,
            "554 Sandbox subdomains are for test purposes only. Please add your own domain or add the address to \
             authorized recipients in Account Settings.",
            RECIPIENT,
        ),
        // Yahoo.
        (
            Mail,
            "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
            SERVICE,
        ),
        (EndOfData, "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/", MESSAGE),
        (Rcpt, "450 User is receiving mail too quickly", RECIPIENT),
    ]);
}

#[test]
fn servers_of_our_own() {
    use Stage::{Data, EndOfData, Mail, Rcpt};
    check(&[
        // Postfix, postgrey, Postfix's sizes.
        (Rcpt, "450 4.1.1 <a@x.example>: Recipient address rejected: unverified address", RECIPIENT),
        (
            Rcpt,
            "450 4.2.0 <a@x.example>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch",
            RECIPIENT,
        ),
        (Rcpt, "451 4.7.1 Greylisting in action, please come back later", RECIPIENT),
        (Data, "451 4.7.1 Greylisting in action, please come back later", RECIPIENT),
        (Rcpt, "450 4.7.1 <client.example>: Helo command rejected: Host not found", RECIPIENT),
        (Mail, "452 4.3.1 Insufficient system storage", SERVICE),
        (EndOfData, "452 4.3.1 Insufficient system storage", SERVICE),
        (Mail, "552 5.3.4 Message size exceeds fixed limit", MESSAGE),
        (EndOfData, "552 5.3.4 Error: message file too big", MESSAGE),
        (Rcpt, "554 5.7.1 <a@x.example>: Relay access denied", RECIPIENT),
        (Rcpt, "454 4.7.1 <a@x.example>: Relay access denied", RECIPIENT),
        (EndOfData, "451 4.3.0 Error: queue file write error", MESSAGE),
        // Exim.
        (Rcpt, "451 Temporary local problem - please try later", RECIPIENT),
        (Rcpt, "550 Unrouteable address", RECIPIENT),
        (EndOfData, "552 Message size exceeds maximum permitted", MESSAGE),
        // OpenSMTPD.
        (Mail, "421 4.3.0 Temporary Error", SERVICE),
        (Rcpt, "550 Invalid recipient: <a@x.example>", RECIPIENT),
        (EndOfData, "554 5.6.0 Message content rejected", MESSAGE),
    ]);
}

#[test]
fn a_refusal_of_ours_is_never_a_bounce() {
    for text in ["550 5.4.5 x", "550 5.1.90 x", "550 5.7.705 x", "554 5.2.0 a:OutboundSpamException; x", "535 5.7.8 x"]
    {
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Chunk, Stage::EndOfData] {
            assert!(
                matches!(disposition(stage, &parsed(text)), Disposition::Route | Disposition::Deferred),
                "{stage:?} {text}"
            );
        }
    }
}

#[test]
fn a_plain_reply_is_judged_by_the_command_that_it_answers() {
    use Disposition::{Accepted, Deferred, Failed, OutOfStep, Route};
    use Stage::{Chunk, Data, EndOfData, Mail, Rcpt};
    for (stage, text, expected) in [
        (Mail, "250 ok", Accepted),
        (Mail, "451 4.7.1 try again", Deferred),
        (Mail, "552 too big", Failed),
        (Mail, "550 5.7.1 not you", Failed),
        (Mail, "354 what", OutOfStep),
        (Rcpt, "251 forwarded", Accepted),
        (Rcpt, "252 cannot verify", Accepted),
        (Rcpt, "450 busy", Deferred),
        (Rcpt, "452 4.5.3 too many", Deferred),
        (Rcpt, "552 too many", Deferred),
        (Rcpt, "552 5.5.3 too many", Deferred),
        (Rcpt, "552 5.2.2 full", Failed),
        (Rcpt, "571 blocked", Failed),
        (Rcpt, "421 bye", Route),
        (Chunk, "250 ok", Accepted),
        (Chunk, "552 5.3.4 too big", Failed),
        (Chunk, "354 what", OutOfStep),
        (Data, "354 go on", Accepted),
        (Data, "250 what", OutOfStep),
        (Data, "451 later", Deferred),
        (Data, "554 no valid recipients", Failed),
        (Data, "538 encryption required", Route),
        (EndOfData, "250 queued", Accepted),
        (EndOfData, "354 what", OutOfStep),
        (EndOfData, "421 4.3.0 closing", Deferred),
        (EndOfData, "552 5.2.3 too big", Failed),
    ] {
        assert_eq!(disposition(stage, &parsed(text)), expected, "{stage:?} {text}");
    }
}

#[test]
fn a_deferral_never_carries_a_permanent_status() {
    let reply = parsed("550 5.4.5 Daily user sending limit exceeded");
    let Outcome::Deferred(reason) = outcome(Disposition::Deferred, &reply) else { panic!() };
    assert_eq!((reason.status, reason.reply_code), (EnhancedCode(4, 4, 5), Some(550)));
    assert_eq!(route_trouble(&reply), Some(reason.clone()));
    assert_eq!(reason.text, "550 5.4.5 Daily user sending limit exceeded");
}
