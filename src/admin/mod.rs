//! The verbs of `spoolrun`: they read a spool, or change it under the lock of the file, and return data.
//!
//! How that data looks as text or as JSON is here too, in functions that neither read nor write anything.

mod act;
mod clients;
mod doctor;
mod explain;
mod history;
mod kept;
mod listing;
pub mod live;
mod own_mail;
mod parallel;
mod pasted;
mod routes;
mod select;
mod shape;
mod stats;
mod transfer;
mod verify;

pub use act::{Act, Acted, Hand, act, act_on_all, would_act};
pub use clients::{ClientStory, ClientsAnswer, FateStory, Whom, explain_clients};
pub use doctor::{
    ReceiverAddress, ReceiverPlan, SendingPlan, SpoolPlan, probe_dkim, probe_receiver, probe_sending, probe_spool,
    step_json, step_text,
};
pub use explain::{Explanation, Explanations, Point, RecipientStory, explain};
pub use history::{History, history};
pub use kept::{Kept, kept};
pub use listing::{Listing, RecipientState, Table};
pub use own_mail::own_mail;
pub use pasted::pasted_id;
pub use routes::{RouteView, Routes, Switched, Throttle, pause, resume};
pub use select::{Filter, Selected, SenderFilter, Visited, visit};
pub use shape::{COLUMNS, Of, Shape};
pub use stats::{FolderCount, Stats};
pub use transfer::{Original, transfer, would_transfer};
pub use verify::{Checked, CopyError, check, copy_message};
