//! Who the process runs as: from root to an ordinary user, permanently.
//!
//! It is done before there are threads, and every step is checked afterwards: a process that could become root again
//! does not go on. What only root can do or read (bind a port below 1024, read a key) has to happen before.

use std::ffi::CString;
use std::fmt;

use nix::unistd::{
    Gid, Group, Uid, User, geteuid, getgrouplist, getgroups, getresgid, getresuid, setfsgid, setfsuid, setgid,
    setgroups, setresgid, setresuid, setuid,
};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// A user, a group and supplementary groups to run as; never root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    name: String,
    uid: Uid,
    gid: Gid,
    /// Sorted; with the group itself.
    groups: Vec<Gid>,
}

/// Why a process does not run as whom it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is no such user or group, or it is root.
    #[error("{0}")]
    Unknown(String),
    /// Only root can become somebody else.
    #[error("only root can become user {wanted}, but this was started by {found}")]
    NotRoot {
        /// The user to become.
        wanted: String,
        /// The user it runs as.
        found: String,
    },
    /// The system refused, or did something else than it said.
    #[error("becoming user {name}: {what}")]
    Failed {
        /// The user to become.
        name: String,
        /// What went wrong.
        what: String,
    },
}

impl Identity {
    /// Looks a user and a group up, by name or number, in whatever list of users the system has. Without a group it is the
    /// user's own. The supplementary groups are those that the list of groups gives the user.
    ///
    /// # Errors
    /// When there is no such user or group, or one of them is root's.
    pub fn find(user: &str, group: Option<&str>) -> Result<Self, IdentityError> {
        let unknown = |text: String| IdentityError::Unknown(text);
        let failed = |what: &str, error: &dyn fmt::Display| unknown(format!("looking {what} up: {error}"));
        let found = match user.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) => User::from_name(user),
        };
        let found = found.map_err(|error| failed(&format!("user {user}"), &error))?;
        let (name, uid, own) = match (found, user.parse()) {
            (Some(found), _) => (found.name, found.uid, Some(found.gid)),
            // A number needs no entry in any list, as containers have it.
            (None, Ok(uid)) => (user.to_owned(), Uid::from_raw(uid), None),
            (None, Err(_)) => return Err(unknown(format!("there is no user {user}"))),
        };
        let gid = match (group, own) {
            (Some(group), _) => group_named(group)?,
            (None, Some(own)) => own,
            (None, None) => {
                return Err(unknown(format!("user {user} is in no list, so that a group must be named too")));
            }
        };
        if uid.is_root() || gid.as_raw() == 0 {
            return Err(unknown(format!("user {name} with group {gid} is root; name one that may not do everything")));
        }
        let mut groups = match CString::new(name.clone()).map(|name| getgrouplist(&name, gid)) {
            Ok(Ok(groups)) => groups,
            _ => vec![gid],
        };
        groups.retain(|group| group.as_raw() != 0);
        groups.push(gid);
        Ok(Self { name, uid, gid, groups: sorted(groups) })
    }

    /// The user's name, or number where it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ids of the user and of the group, for what root makes on their behalf.
    pub fn ids(&self) -> (u32, u32) {
        (self.uid.as_raw(), self.gid.as_raw())
    }

    /// Becomes that user, and makes sure of it. A process that runs as that user already stays as it is. To be called while there is one thread only.
    ///
    /// # Errors
    /// When this is neither root nor that user, or when the system refused, or when root could be regained.
    pub fn assume(&self) -> Result<(), IdentityError> {
        let failed = |what: String| IdentityError::Failed { name: self.name.clone(), what };
        if !geteuid().is_root() {
            return if self.has_user() { Ok(()) } else { Err(self.not_root()) };
        }
        setgroups(&self.groups).map_err(|error| failed(format!("setting its groups: {error}")))?;
        setresgid(self.gid, self.gid, self.gid).map_err(|error| failed(format!("setting its group: {error}")))?;
        setresuid(self.uid, self.uid, self.uid).map_err(|error| failed(format!("setting the user: {error}")))?;
        if !self.has_user() || !self.has_groups() {
            return Err(failed("it was not done, though the system said so".to_owned()));
        }
        if setuid(Uid::from_raw(0)).is_ok() || setgid(Gid::from_raw(0)).is_ok() {
            return Err(failed("root could be regained".to_owned()));
        }
        renounce_capabilities().map_err(failed)
    }

    /// From now on this thread, and those that it starts, open files with that user's rights; all else stays root's.
    ///
    /// # Errors
    /// When it did not take effect.
    pub fn open_files_as(&self) -> Result<(), String> {
        setfsgid(self.gid);
        setfsuid(self.uid);
        // Both answer with what was before, and say nothing of failure: asked again, what is now.
        let (user, group) = (setfsuid(self.uid), setfsgid(self.gid));
        if user == self.uid && group == self.gid { Ok(()) } else { Err(format!("acting as user {} failed", self.name)) }
    }

    /// Real, effective and saved.
    fn has_user(&self) -> bool {
        getresuid().is_ok_and(|user| [user.real, user.effective, user.saved] == [self.uid; 3])
    }

    fn has_groups(&self) -> bool {
        getresgid().is_ok_and(|group| [group.real, group.effective, group.saved] == [self.gid; 3])
            && getgroups().is_ok_and(|groups| sorted(groups) == self.groups)
    }

    fn not_root(&self) -> IdentityError {
        let uid = geteuid();
        let found = super::account(uid.as_raw()).map_or_else(|| format!("uid {uid}"), |account| account.name);
        IdentityError::NotRoot { wanted: self.name.clone(), found }
    }
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Gives up what the process may do beyond its user's rights, such as binding low ports, and makes sure of it. Root stays
/// root. To be called while there is one thread only.
///
/// # Errors
/// In words.
pub fn renounce_capabilities() -> Result<(), String> {
    if is_root() {
        return Ok(());
    }
    let read = || capabilities(None).map_err(|error| format!("reading the capabilities: {error}"));
    let held = |sets: &CapabilitySets| !(sets.effective | sets.permitted | sets.inheritable).is_empty();
    if held(&read()?) {
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        // The ambient ones cannot outlive these.
        set_capabilities(None, none).map_err(|error| format!("giving up capabilities: {error}"))?;
        if held(&read()?) {
            return Err("capabilities are left".to_owned());
        }
    }
    Ok(())
}

fn group_named(group: &str) -> Result<Gid, IdentityError> {
    if let Ok(gid) = group.parse() {
        return Ok(Gid::from_raw(gid));
    }
    match Group::from_name(group) {
        Ok(Some(found)) => Ok(found.gid),
        Ok(None) => Err(IdentityError::Unknown(format!("there is no group {group}"))),
        Err(error) => Err(IdentityError::Unknown(format!("looking group {group} up: {error}"))),
    }
}

fn sorted(mut groups: Vec<Gid>) -> Vec<Gid> {
    groups.sort_by_key(|group| group.as_raw());
    groups.dedup();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_by_number_and_root_is_refused() {
        let nobody = Identity::find("nobody", None).unwrap();
        assert_eq!(nobody.name(), "nobody");
        assert_eq!(Identity::find(&nobody.uid.to_string(), None).unwrap(), nobody);
        assert!(nobody.groups.contains(&nobody.gid));
        let reason = |user: &str, group: Option<&str>| Identity::find(user, group).unwrap_err().to_string();
        assert_eq!(reason("no-such-user", None), "there is no user no-such-user");
        assert_eq!(reason("nobody", Some("no-such-group")), "there is no group no-such-group");
        assert!(reason("root", None).contains("is root"));
        assert!(reason("nobody", Some("root")).contains("is root"));
        assert!(reason("3999999999", None).contains("a group must be named too"));
        assert_eq!(Identity::find("3999999999", Some("7")).unwrap().ids(), (3_999_999_999, 7));
    }
}
