//! The settings in effect, each with its origin; secrets are hidden.

use maud::html;

use super::{Title, page, text};
use crate::page::answer::Answer;
use crate::page::catalogue::Site;
use crate::page::request::Request;

pub(in crate::page) fn settings(site: &Site, _request: &Request) -> Answer {
    let settings = site.relay.settings();
    let content = html! {
        p { "Where a key is not named here, its default applies: " code { "docs/leafmail.toml" } " has all of them." }
        @if settings.is_empty() { p { "There is no configuration file: all settings are defaults." } } @else {
            table {
                caption.hidden { "Settings in effect" }
                thead { tr { th scope="col" { "Key" } th scope="col" { "Value" } th scope="col" { "From" } } }
                tbody { @for setting in &settings { tr {
                    td data-label="Key" { code { (text(&setting.key)) } }
                    td data-label="Value" { (text(&setting.value)) }
                    td data-label="From" { (text(&setting.origin)) }
                } } }
            }
        }
    };
    page(site, &Title { text: "Settings", place: "/settings" }, content)
}
