//! The fault seam: every operation of the spool on the disk goes through a [`Disk`].
//!
//! The real one is [`HostDisk`]; a double can fail or stop at the n-th call, or simulate a whole disk.

mod file_system;
mod host;
mod lock;
mod traits;

pub use file_system::FileSystem;
pub(in crate::spool) use host::room_at;
pub use host::{HostDisk, HostFile};
pub use lock::Lock;
pub use traits::{Access, Disk, Extent, Kind, Room, Status};
