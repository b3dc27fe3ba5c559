//! The octets of a message that is arriving for a handler: in memory, and in a temporary file once they are many.
//!
//! The file loses its name before anything is written to it, so nothing is left of it, whatever ends the process.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// More octets than this go to a file.
pub(super) const IN_MEMORY: usize = 256 * 1024;

/// The octets of a message.
#[derive(Debug, Default)]
pub(super) struct Octets {
    memory: Vec<u8>,
    file: Option<fs::File>,
    size: u64,
}

impl Octets {
    /// Adds some; beyond [`IN_MEMORY`] to a file in `folder`, of this name for a moment.
    pub(super) fn append(&mut self, octets: &[u8], folder: &Path, name: &str) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + octets.len() > IN_MEMORY {
            let path = folder.join(format!(".leafmail-{name}"));
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            fs::remove_file(&path)?;
            file.write_all_at(&self.memory, 0)?;
            (self.file, self.memory) = (Some(file), Vec::new());
        }
        match &self.file {
            Some(file) => file.write_all_at(octets, self.size)?,
            None => self.memory.extend_from_slice(octets),
        }
        self.size += octets.len() as u64;
        Ok(())
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Reads them from the first one on.
    pub(super) fn reader(&self) -> OctetReader<'_> {
        OctetReader { octets: self, offset: 0 }
    }
}

/// Reads the octets of a message.
///
/// ```
/// use leafmail::server::Mail;
///
/// fn store(mail: &Mail, file: &mut std::fs::File) -> std::io::Result<u64> {
///     std::io::copy(&mut mail.reader(), file) // whatever its size, with little memory
/// }
/// ```
#[derive(Debug)]
pub struct OctetReader<'a> {
    octets: &'a Octets,
    offset: u64,
}

impl Read for OctetReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = match &self.octets.file {
            Some(file) => file.read_at(into, self.offset)?,
            None => {
                let rest = usize::try_from(self.offset).ok().and_then(|offset| self.octets.memory.get(offset..));
                rest.unwrap_or_default().read(into)?
            }
        };
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_octets_are_read_as_they_came_and_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        for pieces in [vec![], vec![5], vec![IN_MEMORY], vec![IN_MEMORY - 1, 1, 1, 70_000], vec![3 * IN_MEMORY, 2]] {
            let mut octets = Octets::default();
            let mut expected = Vec::new();
            for (number, length) in pieces.iter().enumerate() {
                let piece = vec![b'a' + u8::try_from(number).unwrap(); *length];
                octets.append(&piece, folder.path(), "x").unwrap();
                expected.extend(piece);
            }
            let mut read = Vec::new();
            octets.reader().read_to_end(&mut read).unwrap();
            assert!(read == expected && octets.size() == expected.len() as u64, "{pieces:?}");
            assert_eq!(octets.file.is_some(), expected.len() > IN_MEMORY);
            assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
        }
    }
}
