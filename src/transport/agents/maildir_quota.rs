//! The quota of a Maildir++: the file `maildirsize`, where there is one, as Courier and Dovecot keep it.
//!
//! Its first line has the limits (`10000000S,1000C`), each further line octets and messages that were added. It is a help and no
//! ledger: what cannot be read limits nothing, and the messages are counted where the file is long, and where it is old before a
//! mailbox counts as full.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::receipt::Reason;
use crate::smtp::EnhancedCode;

const FILE: &str = "maildirsize";
/// Maildir++: a longer file is written again.
const LONGEST: u64 = 5120;
/// Maildir++: a file of this age is not believed when it says that the mailbox is full.
const OLD: Duration = Duration::from_secs(15 * 60);

/// Octets and messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    octets: i64,
    messages: i64,
}

/// What the first line allows; 0: any number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Limits {
    line: String,
    most: Count,
}

impl Limits {
    fn parse(line: &str) -> Option<Self> {
        let mut most = Count::default();
        for part in line.trim().split(',') {
            let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
            let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
            match unit {
                "S" => most.octets = number,
                "C" => most.messages = number,
                _ => {}
            }
        }
        Some(Self { line: line.trim().to_owned(), most })
    }

    fn admits(&self, used: Count, octets: i64) -> bool {
        let fits = |most: i64, sum: i64| most == 0 || sum <= most;
        fits(self.most.octets, used.octets.saturating_add(octets)) && fits(self.most.messages, used.messages + 1)
    }
}

/// Whether the Maildir has room for another message.
///
/// # Errors
/// RFC 3463 X.2.2: mailbox full.
pub(super) fn admits(maildir: &Path, octets: u64) -> Result<(), Reason> {
    let octets = i64::try_from(octets).unwrap_or(i64::MAX);
    let Some((limits, mut used)) = read(maildir) else { return Ok(()) };
    let about = maildir.join(FILE).metadata();
    // Only its beginning was read: what it says is too little, whatever comes of it.
    let is_long = about.as_ref().is_ok_and(|about| about.len() > LONGEST);
    if is_long {
        used = recount(maildir, &limits).unwrap_or(used);
    }
    if limits.admits(used, octets) {
        return Ok(());
    }
    let age = about.and_then(|about| about.modified()).ok().and_then(|written| written.elapsed().ok());
    if !is_long && age.is_some_and(|age| age > OLD) {
        used = recount(maildir, &limits).unwrap_or(used);
    }
    if limits.admits(used, octets) {
        return Ok(());
    }
    let text = format!("the mailbox is full: its quota is {}", limits.line);
    Err(Reason::new(EnhancedCode(4, 2, 2), text))
}

/// Notes that a message was added, where there is a quota. If that fails, the next count corrects it.
pub(super) fn note(maildir: &Path, octets: u64) {
    let file = OpenOptions::new().append(true).open(maildir.join(FILE));
    // One write, as others append too.
    let _ = file.and_then(|mut file| file.write_all(format!("{octets} 1\n").as_bytes()));
}

fn read(maildir: &Path) -> Option<(Limits, Count)> {
    let mut text = String::new();
    fs::File::open(maildir.join(FILE)).ok()?.take(16 * LONGEST).read_to_string(&mut text).ok()?;
    let (first, rest) = text.split_once('\n')?;
    let mut used = Count::default();
    for line in rest.lines() {
        let mut numbers = line.split_whitespace().map(str::parse);
        if let (Some(Ok(octets)), Some(Ok(messages))) = (numbers.next(), numbers.next()) {
            used.octets = used.octets.saturating_add(octets);
            used.messages = used.messages.saturating_add(messages);
        }
    }
    Some((Limits::parse(first)?, used))
}

/// Counts the messages of all folders, and writes the file again.
fn recount(maildir: &Path, limits: &Limits) -> io::Result<Count> {
    let mut folders = vec![maildir.to_owned()];
    for entry in fs::read_dir(maildir)?.flatten() {
        let name = entry.file_name();
        // Maildir++: what is in the trash does not count.
        if name.as_encoded_bytes().starts_with(b".") && name != ".Trash" {
            folders.push(entry.path());
        }
    }
    let mut used = Count::default();
    for place in folders.iter().flat_map(|folder| [folder.join("new"), folder.join("cur")]) {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            if let Some(size) = size(&entry.path()) {
                used.octets = used.octets.saturating_add(size);
                used.messages += 1;
            }
        }
    }
    let draft = maildir.join("tmp").join(format!("{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(format!("{}\n{} {}\n", limits.line, used.octets, used.messages).as_bytes())?;
    fs::rename(&draft, maildir.join(FILE))?;
    Ok(used)
}

/// The octets of a message, which its name may have (`,S=`); `None` where it is to be removed.
fn size(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    let (base, flags) = name.split_once(":2,").unwrap_or((name, ""));
    if flags.contains('T') {
        return None;
    }
    let named = base.split(',').find_map(|part| part.strip_prefix("S=")?.parse().ok());
    named.or_else(|| i64::try_from(path.metadata().ok()?.len()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_full_by_octets_or_by_messages_and_only_where_there_is_a_quota() {
        let folder = tempfile::tempdir().unwrap();
        let quota = |text: &str| fs::write(folder.path().join(FILE), text).unwrap();
        assert_eq!(admits(folder.path(), 1 << 40), Ok(()));
        for (text, octets, fits) in [
            ("1000S,10C\n900 9\n", 100, true),
            ("1000S,10C\n900 9\n", 101, false),
            ("1000S,10C\n900 9\n50 1\n", 1, false),
            ("1000S\n900 9\n-500 -1\n", 600, true),
            ("10C\n900 9\n", 1 << 40, true),
            ("0S,0C\n900 9\n", 1 << 40, true),
            ("what\n900 9\n", 1 << 40, true),
            ("", 1 << 40, true),
        ] {
            quota(text);
            assert_eq!(admits(folder.path(), octets).is_ok(), fits, "{text}");
        }
        quota("1000S\n");
        note(folder.path(), 600);
        assert_eq!(admits(folder.path(), 500).unwrap_err().status, EnhancedCode(4, 2, 2));
    }

    #[test]
    fn a_long_file_is_counted_again_whatever_it_says() {
        let folder = tempfile::tempdir().unwrap();
        for place in ["tmp", "new", "cur", ".Trash/cur", ".Work/cur"] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        for (name, octets) in
            [("new/a", 10), ("cur/b,S=20:2,S", 1), ("cur/c:2,ST", 50), (".Trash/cur/d", 50), (".Work/cur/e", 30)]
        {
            fs::write(folder.path().join(name), vec![b'x'; octets]).unwrap();
        }
        fs::write(folder.path().join(FILE), format!("100S\n{}", "50 1\n".repeat(2000))).unwrap();
        assert_eq!(admits(folder.path(), 40), Ok(()));
        assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), "100S\n60 3\n");
        assert!(admits(folder.path(), 41).is_err());
        fs::write(folder.path().join(FILE), format!("100S\n{}", "0 0\n".repeat(30_000))).unwrap();
        assert!(admits(folder.path(), 41).is_err(), "what is beyond its beginning is not seen");
    }
}
