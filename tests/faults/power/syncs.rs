//! How many syncs a 250 costs on which file system: one where the laboratory shows that it suffices, two everywhere else.

use std::path::Path;

use crate::block_devices::{Kind, Mounted, can_mount, image_folder};
use crate::have::have;
use crate::receiving_run::{is_durable_before_its_reply, one_session};
use crate::sample_messages::LETTERS;
use crate::site::Site;
use crate::strace::{calls, traced};
use crate::submitting::hand_in;

/// What `smtpd` does for three messages whose spool is where `mount` puts it.
fn assert_syncs(what: &str, first: &str, syncs: usize, mount: impl FnOnce(&Path) -> Mounted) {
    let site = Site::new("");
    site.set_first(first);
    let mounted = mount(&site.spool());
    let trace = site.path("trace");
    let handed = hand_in(&site, traced(&one_session(&site), &trace, None), &LETTERS);
    let calls = calls(&trace);
    assert_eq!(handed.acknowledged.len(), LETTERS.len(), "{what}: {:?}", handed.refusals);
    for (_, id) in &handed.acknowledged {
        assert!(is_durable_before_its_reply(&calls, id, syncs), "{what}: not {syncs} syncs before the 250 of {id}");
    }
    drop(mounted);
}

#[test]
fn only_where_one_sync_is_known_to_suffice_a_message_gets_one() {
    if !can_mount(&[Kind::Ext4, Kind::Xfs, Kind::Btrfs]) || !have("strace") {
        return;
    }
    const ALWAYS: &str = "spool_sync = \"always\"";
    let journal = ["-O", "has_journal"];
    let none = ["-O", "^has_journal"];
    let cases: [(&str, Kind, &[&str], &str, usize); 7] = [
        ("ext4 with a journal", Kind::Ext4, &journal, "", 1),
        ("xfs", Kind::Xfs, &[], "", 1),
        ("btrfs", Kind::Btrfs, &[], "", 1),
        ("ext4 without a journal", Kind::Ext4, &none, "", 2),
        ("ext4 with a journal, always", Kind::Ext4, &journal, ALWAYS, 2),
        ("xfs, always", Kind::Xfs, &[], ALWAYS, 2),
        ("btrfs, always", Kind::Btrfs, &[], ALWAYS, 2),
    ];
    for (what, kind, options, first, syncs) in cases {
        let folder = image_folder();
        let image = folder.path().join("image");
        kind.make(&image, options);
        assert_syncs(what, first, syncs, |at| Mounted::try_new(kind, &image, at).unwrap());
    }
    // A file system of which nothing is known.
    assert_syncs("tmpfs", "", 2, |at| Mounted::with("tmpfs", Path::new("none"), at, "size=64m").unwrap());
}
