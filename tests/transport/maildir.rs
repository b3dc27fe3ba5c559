//! The Maildir transport: one file per message, complete or absent, and never a second one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::transport::Transport;

const TEXT: &[u8] = b"Subject: x\r\n\r\n.hello \xff\r\n";

fn maildir(path: &Path) -> Box<dyn Transport> {
    transport(&settings(&format!("maildir:{}", path.display())))
}

fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_message_becomes_one_file_with_its_octets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/mail");
    let mut body = Pieces::cut(TEXT, 3);
    let envelope = envelope("me@y.example", &["a@x.example", "b@x.example"]);
    let delivery = deliver(&mut *maildir(&path), &envelope, &mut body).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["D2.0.0"; 2]);
    assert_eq!(delivery.relay, format!("maildir:{}", path.display()));
    assert_eq!(body.handed_over, [TEXT.len()]);
    let names = files(&path.join("new"));
    assert_eq!((names.len(), files(&path.join("tmp")).len()), (1, 0));
    let file = path.join("new").join(&names[0]);
    let header = b"Return-Path: <me@y.example>\r\nX-Original-To: a@x.example\r\nX-Original-To: b@x.example\r\n";
    assert_eq!(fs::read(&file).unwrap(), [&header[..], TEXT].concat());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.join("cur")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn delivering_again_makes_no_second_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let envelope = envelope("", &["a@x.example"]);
    for _ in 0..2 {
        let delivery = deliver(&mut *maildir(path), &envelope, &mut Pieces::of(TEXT)).unwrap();
        assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
    }
    let name = files(&path.join("new")).remove(0);
    // A reader has seen it.
    fs::rename(path.join("new").join(&name), path.join("cur").join(format!("{name}:2,S"))).unwrap();
    deliver(&mut *maildir(path), &envelope, &mut Pieces::of(TEXT)).unwrap();
    assert_eq!((files(&path.join("new")).len(), files(&path.join("cur")).len()), (0, 1));
}

#[test]
fn the_rest_of_an_attempt_that_died_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let envelope = envelope("", &["a@x.example"]);
    deliver(&mut *maildir(path), &envelope, &mut Pieces::of(TEXT)).unwrap();
    let name = files(&path.join("new")).remove(0);
    fs::remove_file(path.join("new").join(&name)).unwrap();
    fs::write(path.join("tmp").join(&name), "half").unwrap();
    deliver(&mut *maildir(path), &envelope, &mut Pieces::of(TEXT)).unwrap();
    assert!(fs::read(path.join("new").join(&name)).unwrap().ends_with(TEXT));
}

#[test]
fn a_message_that_cannot_be_read_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut body = Pieces { fails_at: Some(4), ..Pieces::cut(TEXT, 4) };
    let delivery = deliver(&mut *maildir(folder.path()), &envelope("", &["a@x.example"]), &mut body).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["L4.3.0"]);
    assert!(body.handed_over.is_empty());
    assert!(files(&folder.path().join("new")).is_empty() && files(&folder.path().join("tmp")).is_empty());
}

#[test]
fn a_folder_that_cannot_be_made_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let fault = deliver(&mut *maildir(&file.join("mail")), &envelope("", &["a@x.example"]), &mut Pieces::of(TEXT));
    assert!(fault.unwrap_err().reason.text.starts_with("making "));
}
