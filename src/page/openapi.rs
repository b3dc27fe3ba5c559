//! The OpenAPI document: made from the table of endpoints, so that it cannot name what is not there.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::endpoints::{ENDPOINTS, Endpoint};
use super::request::Method;
use super::roles::PageRole;

/// What a name means in a query or in a posted object.
fn meaning(name: &str) -> (&'static str, Value) {
    let text = || json!({ "type": "string" });
    match name {
        "id" => ("An id of a message; several in a posted list", text()),
        "sender" => ("The envelope sender: an address, @DOMAIN, or <> for notifications", text()),
        "recipient" => ("A recipient who does not have it yet: an address or @DOMAIN", text()),
        "older" => ("At least this old, such as 2h", text()),
        "younger" => ("Younger than this, such as 2h", text()),
        "route" => ("Waiting for this route", text()),
        "reason" => ("Text in the reason for the delay", text()),
        "folder" => ("queue, hold or failed", json!({ "type": "string", "enum": ["queue", "hold", "failed"] })),
        "cursor" => ("Where the page begins: next of the page before", text()),
        "limit" => ("The most entries", json!({ "type": "integer", "minimum": 1, "maximum": 500 })),
        "message_id" => ("The Message-ID", text()),
        "client" => ("An address, a network, or local", text()),
        "all" => ("All messages, where neither ids nor a filter are given", json!({ "type": "boolean" })),
        "why" => ("A reason, which is stored and shown", text()),
        "dry_run" => ("Change nothing, and return what would be done", json!({ "type": "boolean" })),
        _ => ("", text()),
    }
}

fn operation(endpoint: &Endpoint) -> Value {
    let places = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = places
        .map(|name| {
            let schema = match name {
                "act" => json!({ "type": "string", "enum": ["hold", "release", "requeue", "expire", "remove"] }),
                "switch" => json!({ "type": "string", "enum": ["pause", "resume"] }),
                _ => json!({ "type": "string" }),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    let role = endpoint.role.map_or("none", PageRole::name);
    let kind = match endpoint.path.rsplit('/').next() {
        Some("events") => "text/event-stream",
        Some("content") => "text/plain",
        _ => "application/json",
    };
    let mut operation = json!({
        "summary": endpoint.summary,
        "description": format!("Needs the role {role}."),
        "responses": {
            "200": { "description": "Done", "content": { kind: {} } },
            "400": { "description": "A value is wrong" },
            "401": { "description": "No token, or a wrong one" },
            "403": { "description": "The token lacks the role, or the request comes from another site" },
            "404": { "description": "There is no such thing" },
            "429": { "description": "Too many wrong tokens; Retry-After says when to try again" },
        },
    });
    if endpoint.method == Method::Post {
        let properties: Map<String, Value> =
            endpoint.names.iter().map(|name| ((*name).to_owned(), property(name))).collect();
        operation["requestBody"] = json!({
            "content": { "application/json": { "schema": { "type": "object", "properties": properties } } },
        });
    } else {
        parameters.extend(endpoint.names.iter().map(|name| {
            let (description, schema) = meaning(name);
            json!({ "name": name, "in": "query", "description": description, "schema": schema })
        }));
    }
    operation["parameters"] = json!(parameters);
    operation
}

fn property(name: &str) -> Value {
    let (description, schema) = meaning(name);
    match name {
        "id" => json!({ "type": "array", "items": schema, "description": description }),
        _ => {
            let mut schema = schema;
            schema["description"] = json!(description);
            schema
        }
    }
}

/// The document as a value.
pub(super) fn value() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| !endpoint.summary.is_empty()) {
        let method = if endpoint.method == Method::Get { "get" } else { "post" };
        let path = paths.entry(endpoint.path.to_owned()).or_insert_with(|| json!({}));
        path[method] = operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "leafmail", "version": env!("CARGO_PKG_VERSION") },
        "components": { "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } } },
        "security": [{ "token": [] }],
        "paths": paths,
    })
}

/// The document as an answer.
pub(super) fn document() -> Answer {
    Answer::json(&value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_every_path_of_the_api_and_says_what_each_name_means() {
        let document = value();
        let paths = document["paths"].as_object().unwrap();
        let of_api = ENDPOINTS.iter().filter(|endpoint| endpoint.path.starts_with("/api/"));
        for endpoint in of_api {
            assert!(!endpoint.summary.is_empty(), "{}", endpoint.path);
            let method = if endpoint.method == Method::Get { "get" } else { "post" };
            assert!(paths[endpoint.path][method]["summary"].is_string(), "{}", endpoint.path);
            for name in endpoint.names {
                assert!(!meaning(name).0.is_empty(), "{name} of {} means nothing", endpoint.path);
            }
        }
        assert!(!paths.contains_key("/") && paths.len() > 10);
    }
}
