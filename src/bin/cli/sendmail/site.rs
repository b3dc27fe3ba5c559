//! The relay of this host, as far as the one who calls knows it.

use std::os::unix::fs::MetadataExt;

use leafmail::config::Config;
use rustix::process::geteuid;

/// The relay of this host.
pub(crate) struct Site {
    pub(crate) config: Config,
    /// Whether the configuration says where the spool is; the default is a folder of wherever one is.
    pub(crate) has_spool: bool,
}

impl Site {
    /// Files in the spool must belong to its owner, so that nobody else, not even root, writes there.
    pub(super) fn owns_spool(&self) -> bool {
        let owner = std::fs::metadata(&self.config.spool).map(|status| status.uid());
        self.has_spool && owner.is_ok_and(|owner| owner == geteuid().as_raw())
    }
}
