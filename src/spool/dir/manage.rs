//! The directory spool as a person uses it: the messages of its folders looked for, checked, read, moved and removed.
//!
//! What changes a file holds its lock; what looks at one does not claim it.

use std::io;
use std::sync::Arc;

use super::claim::{self, DirClaim};
use super::draft_file::{Arriving, BUFFER};
use super::inner::Inner;
use super::look;
use super::look::{InFile, PeekedMessage};
use super::spool::DirSpool;
use crate::id::SpoolId;
use crate::spool::disk::{Disk, HostDisk};
use crate::spool::error::{SpoolError, SpoolErrorKind};
use crate::spool::folder::Folder;
use crate::spool::manage::{Finding, Handled, Manage, Reading};
use crate::spool::traits::{Claimed, Glance};

/// A message of the directory spool that is being read.
pub struct DirReading<D: Disk = HostDisk> {
    inner: Arc<Inner<D>>,
    found: PeekedMessage<D>,
}

impl<D: Disk> Reading for DirReading<D> {
    fn glance(&self) -> &Glance {
        &self.found.glance
    }

    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        let file = InFile { disk: &self.inner.disk, file: &self.found.file };
        self.found.contents.read_at(&file, offset, octets)
    }
}

impl<D: Disk> DirClaim<D> {
    /// Copies the file as it is to the same folder of another spool.
    fn copy_to(&self, to: &Arc<Inner<D>>) -> Result<(), SpoolError> {
        for folder in Folder::ALL {
            if folder != Folder::Bad && look::is_there(to, folder, &self.name)? {
                return Err(to.error("copying to", folder, &self.name, SpoolErrorKind::Exists));
            }
        }
        to.check_room(self.thawed.end)?;
        let mut arriving = Arriving::create(to, self.folder, self.id)?;
        let mut piece = vec![0; BUFFER];
        let mut done = 0;
        while done < self.thawed.end {
            let wanted = (self.thawed.end - done).min(BUFFER as u64) as usize;
            let read = self.inner.disk.read_at(&self.file, done, &mut piece[..wanted]);
            match read.map_err(|error| self.failed("copying", error))? {
                0 => return Err(self.failed("copying", io::Error::from(io::ErrorKind::UnexpectedEof))),
                count => {
                    arriving.write(&piece[..count])?;
                    done += count as u64;
                }
            }
        }
        arriving.preallocate()?;
        arriving.publish()?;
        arriving.make_durable()
    }
}

impl<D: Disk> Manage for DirSpool<D> {
    type Reading = DirReading<D>;

    fn locate(&self, id: SpoolId) -> Result<Option<Folder>, SpoolError> {
        for folder in Folder::ALL.into_iter().chain(Folder::ALL) {
            if look::is_there(&self.inner, folder, &id.to_string())? {
                return Ok(Some(folder));
            }
        }
        Ok(None)
    }

    fn ids(&self, folder: Folder) -> Result<Vec<SpoolId>, SpoolError> {
        let mut ids: Vec<SpoolId> = Vec::new();
        let listed =
            self.inner.disk.each_name(self.inner.folder(folder), &mut |name| ids.extend(name.parse::<SpoolId>().ok()));
        listed.map_err(|error| SpoolError::new("listing", folder.name(), error))?;
        ids.sort_unstable();
        Ok(ids)
    }

    fn peek_at(&self, id: SpoolId, folder: Folder) -> Result<Option<Glance>, SpoolError> {
        look::peek(&self.inner, folder, id)
    }

    fn claim_from(&self, id: SpoolId, folder: Folder) -> Result<Claimed<Self::Claim>, SpoolError> {
        claim::claim_in(&self.inner, folder, id)
    }

    fn copy_to(&self, claim: &Self::Claim, to: &Self) -> Result<(), SpoolError> {
        claim.copy_to(&to.inner)
    }

    fn move_between(&self, id: SpoolId, from: Folder, to: Folder) -> Result<Handled, SpoolError> {
        self.handle(id, from, |name| if from == to { Ok(()) } else { self.inner.move_file(name, from, to) })
    }

    fn remove(&self, id: SpoolId, folder: Folder) -> Result<Handled, SpoolError> {
        self.handle(id, folder, |name| {
            let removed = self.inner.disk.unlink(self.inner.folder(folder), name);
            removed
                .and_then(|()| self.inner.sync_folder(folder))
                .map_err(|error| self.inner.error("removing", folder, name, error))
        })
    }

    fn read(&self, id: SpoolId) -> Result<Option<DirReading<D>>, SpoolError> {
        let found = look::find(&self.inner, &Folder::ALL, id)?;
        Ok(found.map(|found| DirReading { inner: Arc::clone(&self.inner), found }))
    }

    fn verify(&self, folder: Folder) -> Result<Vec<Finding>, SpoolError> {
        let listed = self.inner.disk.list(self.inner.folder(folder));
        let mut names = listed.map_err(|error| SpoolError::new("listing", folder.name(), error))?;
        names.sort_unstable();
        Ok(names.into_iter().filter_map(|name| self.check(folder, name)).collect())
    }
}

impl<D: Disk> DirSpool<D> {
    /// Does something with a file under its lock.
    fn handle(
        &self,
        id: SpoolId,
        folder: Folder,
        act: impl FnOnce(&str) -> Result<(), SpoolError>,
    ) -> Result<Handled, SpoolError> {
        let name = id.to_string();
        match look::open_locked(&self.inner, folder, &name)? {
            Claimed::Ours(_locked) => act(&name).map(|()| Handled::Done),
            Claimed::Busy => Ok(Handled::Busy),
            Claimed::Gone => Ok(Handled::Gone),
        }
    }

    fn check(&self, folder: Folder, name: String) -> Option<Finding> {
        let size = if folder == Folder::Bad || name.parse::<SpoolId>().is_ok() {
            look::verify(&self.inner, folder, &name)?
        } else {
            Err(self.inner.error("verifying", folder, &name, SpoolErrorKind::Foreign("its name is no message id")))
        };
        Some(Finding { name, size })
    }
}
