//! The small files of `spool/routes/`, which all processes share: each is replaced by a rename or changed under a lock.

mod folder;
mod hops;
pub(in crate::queue) mod own;
pub(in crate::queue) mod pace;
mod shared;
mod size;

pub use folder::RouteFolder;
pub use hops::HopFile;
pub use shared::change_shared;
pub use size::SizeFile;
