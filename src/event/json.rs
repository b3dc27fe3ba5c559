//! Events as JSON objects, for programs that read logs by field. The values are those of the event, not of a text.
//!
//! The names are Postfix's where it has one (`delay`, `dsn`, `status`, `relay`). Names may be added; none is ever
//! renamed. Only JSON escapes anything here, so no line contains a control character.

use std::time::Duration;

use log::Level;
use serde_json::{Value, json};

use super::log::level;
use super::{Client, Event, Observer};
use crate::envelope::Peer;
use crate::receipt::{Outcome, Reason};

/// The target of log records whose message is an object of [`json()`].
pub const JSON_TARGET: &str = "leafmail::event::json";

/// Writes each event to the log as JSON, under the target [`JSON_TARGET`].
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonObserver;

impl Observer for JsonObserver {
    fn observe(&self, event: &Event) {
        let level: Level = level(event);
        if log::log_enabled!(target: JSON_TARGET, level) {
            log::log!(target: JSON_TARGET, level, "{}", json(event));
        }
    }
}

/// The event's name and fields. Times are in seconds.
pub fn json(event: &Event) -> Value {
    let mut object = json!({ "event": name(event) });
    let mut put = |fields: Value| {
        if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
            object.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
        }
    };
    match event {
        Event::Connected { client: by } => put(client(by)),
        Event::Repeated { event, times } => {
            let fields = event.as_ref().map_or(Value::Null, |event| json(event));
            let of = fields.get("event").cloned();
            put(fields);
            put(json!({ "event": "repeated", "of": of, "times": times }));
        }
        Event::Disconnected { client: by, cause } => {
            put(client(by));
            put(json!({ "text": cause }));
        }
        Event::Rejected { client: by, stage, by: _, reply, sender, recipient, helo } => {
            put(client(by));
            let (sender, to) = (text(sender.as_ref()), text(recipient.as_ref()));
            let (code, dsn) = (reply.code(), text(reply.enhanced().as_ref()));
            put(json!({ "stage": stage, "code": code, "dsn": dsn, "text": reply.text(), "sender": sender, "to": to }));
            put(json!({ "helo": helo }));
        }
        Event::LoggedIn { client: by, user, mechanism } => {
            put(client(by));
            put(json!({ "user": user, "mechanism": mechanism.to_string() }));
        }
        Event::LoginFailed { client: by, user, mechanism } => {
            put(client(by));
            put(json!({ "user": user, "mechanism": mechanism.to_string() }));
        }
        Event::Remarked { client: by, remark } => {
            put(client(by));
            put(json!({ "text": remark }));
        }
        Event::Accepted { id, client: by, sender, size, recipients, message_id, origin_client, synced_in: _ } => {
            put(by.as_ref().map_or(Value::Null, client));
            put(
                json!({ "id": id.to_string(), "sender": sender.to_string(), "size": size, "recipients": recipients.len() }),
            );
            put(json!({ "message_id": message_id, "origin_client": origin_client }));
        }
        Event::Discarded { id, client: by, text } => {
            put(client(by));
            put(json!({ "id": id.to_string(), "text": text }));
        }
        Event::Attempted { id, sender, message_id, recipient, written, route, relay, delays, outcome } => {
            let Reason { status: dsn, text: said, .. } = outcome.reason();
            let status = status(outcome);
            put(json!({ "id": id.to_string(), "sender": sender.to_string(), "message_id": message_id }));
            put(
                json!({ "to": recipient.to_string(), "orig_to": text(written.as_ref()), "route": route, "relay": relay }),
            );
            let parts = [delays.receiving, delays.queued, delays.connecting, delays.transmitting].map(seconds);
            put(json!({ "delay": seconds(delays.total()), "delays": parts }));
            put(json!({ "dsn": dsn.to_string(), "status": status, "text": said }));
        }
        Event::Expired { id, recipient, route, text } => {
            let route = Some(route).filter(|route| !route.is_empty());
            put(json!({ "id": id.to_string(), "to": recipient.to_string(), "route": route }));
            put(json!({ "status": "expired", "text": text }));
        }
        Event::Notified { id, notice }
        | Event::Reported { id, notice }
        | Event::DelayNotified { id, notice }
        | Event::CopiedToAdmin { id, notice } => put(json!({ "id": id.to_string(), "notice": notice.to_string() })),
        Event::Expanded { id, into } => put(json!({ "id": id.to_string(), "into": into.to_string() })),
        Event::NotNotified { id, text } => put(json!({ "id": id.to_string(), "text": text })),
        Event::Withheld { withheld, digest } => put(json!({ "withheld": withheld, "digest": text(digest.as_ref()) })),
        Event::Removed { id } => put(json!({ "id": id.to_string() })),
        Event::SetAside { name, folder, text } => put(json!({ "id": name, "folder": folder, "text": text })),
        Event::ByHand { id, what, uid } => put(json!({ "id": id.to_string(), "what": what, "uid": uid })),
        Event::RouteByHand { route, paused, uid } => {
            let what = if paused.is_some() { "paused" } else { "resumed" };
            put(json!({ "route": route, "what": what, "text": paused, "uid": uid }));
        }
        Event::RoutePaused { route, text, retry_in } | Event::RouteStillPaused { route, text, retry_in } => {
            put(json!({ "route": route, "text": text, "retry_in": retry_in.as_secs() }));
        }
        Event::RouteResumed { route } => put(json!({ "route": route })),
        Event::Alarm { condition, text } | Event::AllClear { condition, text } => {
            put(json!({ "condition": condition, "text": text }));
        }
        Event::Trouble { text } => put(json!({ "text": text })),
        Event::Overloaded { sessions, limit } | Event::Relieved { sessions, limit } => {
            put(json!({ "sessions": sessions, "limit": limit }));
        }
    }
    object
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Connected { .. } => "connected",
        Event::Disconnected { .. } => "disconnected",
        Event::Repeated { .. } => "repeated",
        Event::Rejected { .. } => "rejected",
        Event::LoggedIn { .. } => "logged_in",
        Event::LoginFailed { .. } => "login_failed",
        Event::Remarked { .. } => "remarked",
        Event::Accepted { .. } => "accepted",
        Event::Discarded { .. } => "discarded",
        Event::Attempted { .. } => "attempted",
        Event::Expired { .. } => "expired",
        Event::Notified { .. } => "notified",
        Event::Reported { .. } => "reported",
        Event::Expanded { .. } => "expanded",
        Event::DelayNotified { .. } => "delay_notified",
        Event::CopiedToAdmin { .. } => "copied_to_admin",
        Event::NotNotified { .. } => "not_notified",
        Event::Withheld { .. } => "withheld",
        Event::Removed { .. } => "removed",
        Event::SetAside { .. } => "set_aside",
        Event::ByHand { .. } => "by_hand",
        Event::RouteByHand { .. } => "route_by_hand",
        Event::RoutePaused { .. } => "route_paused",
        Event::RouteStillPaused { .. } => "route_still_paused",
        Event::RouteResumed { .. } => "route_resumed",
        Event::Alarm { .. } => "alarm",
        Event::AllClear { .. } => "all_clear",
        Event::Trouble { .. } => "trouble",
        Event::Overloaded { .. } => "overloaded",
        Event::Relieved { .. } => "relieved",
    }
}

fn client(client: &Client) -> Value {
    let port = if let Peer::Tcp(address) = client.peer { Some(address.port()) } else { None };
    json!({ "client": client.peer.to_string(), "client_name": client.name, "client_port": port })
}

fn text<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::InDoubt(_) => "in_doubt",
        other => super::log::status(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::testing::attempted;
    use crate::smtp::{EnhancedCode, Refuser, Reply};

    #[test]
    fn an_attempt_has_its_fields_as_values() {
        let (id, event) = attempted("451 4.2.0 \"try\u{1b} again");
        let object = json(&event);
        assert_eq!((&object["event"], &object["id"]), (&json!("attempted"), &json!(id.to_string())));
        assert_eq!((&object["to"], &object["dsn"]), (&json!("bob@example.com"), &json!("4.2.0")));
        assert_eq!((&object["delay"], &object["status"]), (&json!(61.12), &json!("deferred")));
        assert_eq!((&object["delays"], object.get("orig_to")), (&json!([0.12, 61.0, 0.0, 0.0]), None));
        assert!(!object.to_string().contains(char::is_control));
    }

    #[test]
    fn a_hostile_helo_is_a_value_on_the_same_line() {
        let event = Event::Rejected {
            client: Client { peer: Peer::tcp("192.0.2.1:9".parse().unwrap()), name: None },
            stage: "RCPT",
            by: Refuser::Policy,
            reply: Reply::new(554, EnhancedCode(5, 7, 1), "no"),
            sender: None,
            recipient: None,
            helo: Some("x\n{\"event\":\"accepted\"}".to_owned()),
        };
        let line = json(&event).to_string();
        assert!(!line.contains('\n'), "{line}");
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&object["client"], &object["client_port"]), (&json!("192.0.2.1"), &json!(9)));
        assert_eq!((&object["code"], &object["helo"]), (&json!(554), &json!("x\n{\"event\":\"accepted\"}")));
    }
}
