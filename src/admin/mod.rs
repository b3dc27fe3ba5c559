//! What the verbs of `spoolrun` do: they look at a spool, or change it under the lock of the file, and answer with data.
//!
//! How that data looks on paper or as JSON is here too, in functions that neither read nor write anything.

mod doctor;
mod explain;
mod history;
mod listing;
mod tidy;

pub use doctor::{Door, ReceiverPlan, SpoolPlan, probe_receiver, probe_spool, step_json, step_text};
pub use explain::{Answer, Explanation, Point, RecipientStory, explain};
pub use history::{History, history};
pub use listing::{Listing, RecipientState, json_lines, listings, table};
pub use tidy::{Checked, CopyError, Removal, check, copy_message, remove};
