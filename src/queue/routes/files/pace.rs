//! The departures of a route over all processes: `spool/routes/NAME.pace`, a ring of times.
//!
//! It is read and changed under its lock only. Times are of the clock that counts from the host's start, so those of all processes
//! are in order, and a jump of the wall clock has no effect. A kill between two writes makes the next message wait for one
//! stretch at most; it never makes one leave early. A file that is not understood, is from another start of the host, or has
//! times in the future is begun again: no file, whatever is in it, stops mail. `docs/spool-format.md` has the form.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use super::own::{lock, open_shared};
use crate::clock::BootClock;
use crate::queue::routes::pace::{MOST, Pace, RateDecision};

const MAGIC: [u8; 8] = *b"LEAFPACE";
/// Magic, the host's start, capacity, place.
const HEADER: usize = 40;
/// Where in the file the place of the next departure is.
const PLACE_AT: u64 = 32;

/// The file of one route.
#[derive(Debug)]
pub(in crate::queue) struct PaceFile {
    path: PathBuf,
    boot: [u8; 16],
}

/// Nanoseconds since the host's start; never 0, which means no departure.
pub(in crate::queue) fn nanos(clock: &dyn BootClock) -> u64 {
    u64::try_from(clock.since_boot().as_nanos()).unwrap_or(u64::MAX).max(1)
}

fn at(place: u64) -> u64 {
    HEADER as u64 + 8 * place
}

impl PaceFile {
    pub(in crate::queue) fn new(path: PathBuf, clock: &dyn BootClock) -> Self {
        Self { path, boot: clock.boot_id() }
    }

    /// Whether a message may leave; if so, it has left.
    ///
    /// # Errors
    /// When the file cannot be opened, locked, read or written.
    pub(in crate::queue) fn admit(&self, pace: Pace, clock: &dyn BootClock) -> io::Result<RateDecision> {
        let file = open_shared(&self.path)?;
        lock(&file)?;
        // Read under the lock, so that the times of earlier holders are earlier.
        let now = nanos(clock);
        let capacity = u64::from(pace.messages);
        let place = match self.header(&file)? {
            Some((known, place)) if known == capacity => place,
            Some((known, _)) => self.begin(&file, capacity, &known_departures(&file, known, now)?)?,
            None => self.begin(&file, capacity, &[])?,
        };
        let (place, departed) = match number_at(&file, at(place))? {
            Some(departed) if departed <= now => (place, departed),
            _ => (self.begin(&file, capacity, &[])?, 0),
        };
        let decision = pace.decision(departed, now);
        if decision == RateDecision::Now {
            // In this order: a kill in between leaves a late departure where the earliest is looked for.
            file.write_all_at(&now.to_le_bytes(), at(place))?;
            file.write_all_at(&((place + 1) % capacity).to_le_bytes(), PLACE_AT)?;
        }
        Ok(decision)
    }

    /// How long the next message has to wait, without letting one leave: for those who look, so nothing is made or locked.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(in crate::queue) fn wait(&self, pace: Pace, clock: &dyn BootClock) -> io::Result<Option<Duration>> {
        let file = File::open(&self.path)?;
        let now = nanos(clock);
        let Some((_, place)) = self.header(&file)?.filter(|(known, _)| *known == u64::from(pace.messages)) else {
            return Ok(None);
        };
        let departed = number_at(&file, at(place))?.filter(|departed| *departed <= now).unwrap_or(0);
        Ok(match pace.decision(departed, now) {
            RateDecision::Wait(left) => Some(left),
            RateDecision::Now => None,
        })
    }

    /// Capacity and place, where the header is ours and of this start of the host.
    fn header(&self, file: &File) -> io::Result<Option<(u64, u64)>> {
        let mut header = [0; HEADER];
        if !fill(file, &mut header, 0)? || header[..8] != MAGIC || header[8..24] != self.boot {
            return Ok(None);
        }
        let (capacity, place) = (number(&header[24..32]), number(&header[32..]));
        Ok((place < capacity && capacity <= u64::from(MOST)).then_some((capacity, place)))
    }

    /// Begins a ring with `departures`, the earliest first; the place of the next one.
    fn begin(&self, file: &File, capacity: u64, departures: &[u64]) -> io::Result<u64> {
        let capacity_here = usize::try_from(capacity).map_err(io::Error::other)?;
        let kept = &departures[departures.len().saturating_sub(capacity_here)..];
        // Without a header the file is not understood, in case of a kill meanwhile.
        file.write_all_at(&[0; HEADER], 0)?;
        let mut ring: Vec<u8> = kept.iter().flat_map(|departed| departed.to_le_bytes()).collect();
        ring.resize(capacity_here * 8, 0);
        file.write_all_at(&ring, at(0))?;
        file.set_len(at(capacity))?;
        let place = kept.len() as u64 % capacity;
        let numbers = [capacity.to_le_bytes(), place.to_le_bytes()].concat();
        file.write_all_at(&[&MAGIC[..], &self.boot, &numbers].concat(), 0)?;
        Ok(place)
    }
}

/// The departures of a ring of another capacity, the earliest first: another pace is no reason to forget them.
fn known_departures(file: &File, capacity: u64, now: u64) -> io::Result<Vec<u64>> {
    let octets = usize::try_from(capacity * 8).map_err(io::Error::other)?;
    if file.metadata()?.len() != at(capacity) {
        return Ok(Vec::new());
    }
    let mut ring = vec![0; octets];
    if !fill(file, &mut ring, at(0))? {
        return Ok(Vec::new());
    }
    let mut departures: Vec<u64> = ring.chunks_exact(8).map(number).filter(|departed| *departed != 0).collect();
    departures.sort_unstable();
    Ok(if departures.last().is_some_and(|last| *last > now) { Vec::new() } else { departures })
}

fn number(octets: &[u8]) -> u64 {
    octets.try_into().map_or(0, u64::from_le_bytes)
}

fn number_at(file: &File, offset: u64) -> io::Result<Option<u64>> {
    let mut octets = [0; 8];
    Ok(fill(file, &mut octets, offset)?.then(|| u64::from_le_bytes(octets)))
}

/// Whether the file had enough octets.
fn fill(file: &File, octets: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(octets, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
