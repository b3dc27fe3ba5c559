//! A power cut at every block write: what was acknowledged is there when the disk is mounted again, and nothing is torn.
//!
//! Both programs work on a real file system whose block device logs each write. Every prefix of the log is what a cut
//! leaves; where some writes after the last flush are left out too, it is what a cut leaves of a device that reorders. The
//! image is mounted, which lets the file system repair itself, and everything in the spool is thawed. Meanwhile another
//! program writes to the same file system (`beside.rs`), so that other writes share the transactions of the spool's. Controls, whose
//! syncs do nothing, must lose mail, or else the laboratory proves nothing.

mod beside;
mod block_log;
mod image;
mod recording;
mod syncs;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use image::{Cutter, Findings};
use recording::{Recording, Syncs};

use crate::block_devices::{Kind, can_mount};
use crate::lab;

/// One at a time: there are few loop devices, and all of it is work for the disk.
static TURN: Mutex<()> = Mutex::new(());

/// Every `stride`-th cut of a recording, and as a third as many with writes left out.
fn judge(recording: &Recording, stride: usize) -> Findings {
    let mut cutter = Cutter::new(recording);
    let cuts: BTreeSet<usize> = (0..=recording.log.len()).rev().step_by(stride).chain([recording.quiet]).collect();
    for (turn, entries) in cuts.iter().enumerate() {
        cutter.cut(*entries, |_| false);
        if turn % 3 == 0 {
            cutter.cut(*entries, |index| draw(*entries as u64, index as u64).is_multiple_of(2));
        }
    }
    cutter.findings
}

/// Always the same for the same two numbers (SplitMix64), so that a cut can be made again.
fn draw(seed: u64, step: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(step.wrapping_mul(0xD1B5_4A32_D192_ED03));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

fn experiment(kind: Kind, syncs: Syncs, messages: usize, images: usize) -> Option<Findings> {
    if !can_mount(&[kind]) || !crate::have::have("strace") {
        return None;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let begun = std::time::Instant::now();
    let recording = Recording::new(kind, syncs, messages);
    let recorded = begun.elapsed();
    let findings = judge(&recording, (recording.log.len() / images).max(1));
    let Findings { images, reordered, whole, set_aside, why_set_aside, twice, came_back, lost, torn } = &findings;
    // The figures of `docs/reliability.md`.
    let line = format!(
        "{} with {syncs:?}: {messages} messages, {} entries; {images} images, {reordered} of them reordered: {whole} whole, \
         {set_aside} set aside {why_set_aside:?}, {twice} to be sent twice, {} came back, {} lost, {} torn; {recorded:.1?} and {:.1?}\n",
        kind.name(),
        recording.log.len(),
        came_back.len(),
        lost.len(),
        torn.len(),
        begun.elapsed() - recorded
    );
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    Some(findings)
}

/// Images that are judged on each file system in the full form, by as many recordings as that takes.
const IMAGES: usize = 3000;

fn nothing_is_lost(kind: Kind) {
    let (mut images, mut reordered) = (0, 0);
    while images < lab::either(1, IMAGES) {
        let Some(findings) = experiment(kind, Syncs::All, lab::either(40, 150), lab::either(45, usize::MAX)) else {
            return;
        };
        let Findings { lost, torn, came_back, .. } = &findings;
        assert!(came_back.is_empty(), "said to be removed, and there again: {came_back:?}");
        assert!(lost.is_empty() && torn.is_empty(), "acknowledged and lost: {lost:?}; torn: {torn:?}");
        assert!(findings.whole > 0 && findings.reordered > 0);
        images += findings.images;
        reordered += findings.reordered;
    }
    lab::report(kind.name(), &format!("{images} images, {reordered} of them reordered: nothing lost, torn or back"));
}

#[test]
fn a_power_cut_on_ext4_loses_nothing_acknowledged() {
    nothing_is_lost(Kind::Ext4);
}

#[test]
fn a_power_cut_on_xfs_loses_nothing_acknowledged() {
    nothing_is_lost(Kind::Xfs);
}

#[test]
fn a_power_cut_on_btrfs_loses_nothing_acknowledged() {
    nothing_is_lost(Kind::Btrfs);
}

#[test]
fn without_any_sync_acknowledged_mail_is_lost() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        let Some(findings) = experiment(kind, Syncs::None, 40, 10) else { return };
        assert!(!findings.lost.is_empty(), "the laboratory sees no loss on {}", kind.name());
    }
}

/// A control of another kind: on these file systems the sync of a file that just got its name covers the name too, so no
/// mail is lost without the folder's own (`src/spool/tests/faults.rs` has a disk that does no more than it must). But what
/// was removed comes back, and would be sent again.
#[test]
fn without_syncs_of_folders_removed_mail_comes_back() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        // The very last removal may have been synced along with something else.
        let mut attempts = (0..3).map_while(|_| {
            let findings = experiment(kind, Syncs::NotOfFolders, 40, lab::either(5, 300))?;
            assert!(findings.lost.is_empty(), "{}: {:?}", kind.name(), findings.lost);
            Some(!findings.came_back.is_empty())
        });
        match attempts.next() {
            None => return,
            Some(came_back) => {
                assert!(came_back || attempts.any(|it| it), "the laboratory sees nothing on {}", kind.name())
            }
        }
    }
}
