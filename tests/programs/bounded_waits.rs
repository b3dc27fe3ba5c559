//! Programs that wait for nobody for ever, and that say so where they could not do or could not say what they were asked for.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

use crate::client_programs::with_input;
use crate::site::{PATIENCE, Site};

/// A Unix socket.
fn unix_socket() -> OwnedFd {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap()
}

#[test]
fn sendmail_does_not_wait_for_a_receiver_that_takes_no_connection() {
    let site = Site::new("[submission]\nsocket = \"hung.sock\"\n");
    // Makes the spool, whose user this is.
    drop(site.listen(&[]));
    let address = SocketAddrUnix::new(site.path("hung.sock")).unwrap();
    let hung = unix_socket();
    bind(&hung, &address).unwrap();
    listen(&hung, 0).unwrap();
    // The queue of those who wait to be taken is full.
    let mut waiting = Vec::new();
    loop {
        let one = unix_socket();
        match connect(&one, &address) {
            Ok(()) => waiting.push(one),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    let began = Instant::now();
    let mut command = site.smtpd();
    let output = with_input(command.args(["sendmail", "-f", "a@example.com", "b@example.com"]), "Subject: x\n\ntext\n");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    // The user whose spool it is has another way in.
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(site.shelf("queue").len(), 1);
}

#[test]
fn what_was_done_but_could_not_be_said_does_not_end_well() {
    let site = Site::new("");
    let id = site.listen(&[]).client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    for (verb, shelf) in [(&["hold", "--all"][..], "hold"), (&["release", "--all", "--json"], "queue")] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = site.spoolrun().args(verb).stdout(full).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(74), "{verb:?}: {complaint}");
        assert!(complaint.contains("not all could be said"), "{verb:?}: {complaint}");
        assert_eq!(site.shelf(shelf), [id.as_str()], "it was done all the same");
    }
}

#[test]
fn a_message_in_bad_is_found_by_its_id() {
    let site = Site::new("");
    let id = site.listen(&[]).client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    let path = site.spool().join("queue").join(&id);
    let octets = std::fs::read(&path).unwrap();
    for (name, damaged) in [("torn", octets[..octets.len() / 2].to_vec()), ("empty", Vec::new()), ("whole", octets)] {
        let _before = std::fs::remove_file(&path);
        std::fs::write(site.spool().join("bad").join(&id), damaged).unwrap();
        let output = site.run(&["list", &id]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(65), "{name}: {complaint}");
        assert!(complaint.contains(&format!("{id} is in bad/")), "{name}: {complaint}");
    }
}
