use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

use super::*;
use crate::skipped::skip;

/// The walls stand around a thread of its own, so that the other tests stay outside.
fn inside<T: Send + 'static>(needs: Needs, act: impl FnOnce(&Walls) -> T + Send + 'static) -> T {
    thread::spawn(move || act(&enter(&needs))).join().unwrap()
}

#[test]
fn only_what_is_needed_can_be_read_written_and_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["read", "write", "other"] {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("file"), "x").unwrap();
    }
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [near, far] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let needs = Needs {
        read: vec![path("read")],
        write: vec![path("write"), path("write/not/yet/there")],
        connect: vec![near.port()],
        ..Needs::default()
    };
    let within = |name: &str, file: &str| path(name).join(file);
    let (read, write, other) = (path("read"), path("write"), within("other", "file"));
    let gap = inside(needs, move |walls| {
        if let Err(gap) = &walls.files {
            return Some(gap.clone());
        }
        let denied = |kind: Result<(), std::io::Error>| kind.unwrap_err().kind() == ErrorKind::PermissionDenied;
        assert!(fs::read(read.join("file")).is_ok() && fs::read_dir(&read).is_ok() && fs::read("/etc/passwd").is_ok());
        assert!(denied(fs::read(&other).map(|_| ())), "another folder can be read");
        assert!(denied(fs::write(read.join("file"), "y")), "what is read can be written");
        fs::write(write.join("new"), "y").unwrap();
        fs::create_dir_all(write.join("a/b")).unwrap();
        fs::rename(write.join("new"), write.join("a/b/new")).expect("files move between folders");
        fs::remove_file(write.join("a/b/new")).unwrap();
        fs::write("/dev/null", "y").unwrap();
        assert!(denied(Command::new("/bin/true").status().map(|_| ())), "a program can be started");
        // Kernels before 6.7 know no rules for ports.
        TcpStream::connect(near).expect("the port that is needed can be connected to");
        if !walls.to_string().contains("TCP") {
            return Some("no rules for ports".to_owned());
        }
        assert!(denied(TcpStream::connect(far).map(|_| ())), "another port can be connected to");
        assert!(denied(TcpListener::bind("127.0.0.1:0").map(|_| ())), "a port can be bound");
        None
    });
    if let Some(gap) = gap {
        skip(&format!("Landlock of this kernel does not suffice: {gap}"));
    }
}

#[test]
fn forbidden_calls_fail_with_eperm_and_others_do_not() {
    let gap = inside(Needs::default(), |walls| {
        if let Err(gap) = &walls.calls {
            return Some(gap.clone());
        }
        let denied = |result: rustix::io::Result<()>| result == Err(rustix::io::Errno::PERM);
        assert!(denied(rustix::process::chroot("/")));
        // A call that would fail otherwise too, but with another error.
        let unknown = rustix::mount::unmount("/nowhere/at/all", rustix::mount::UnmountFlags::empty());
        assert!(denied(unknown));
        assert!(rustix::thread::no_new_privs().unwrap());
        thread::spawn(|| {}).join().unwrap();
        None
    });
    if let Some(gap) = gap {
        skip(&format!("this kernel filters no system calls: {gap}"));
    }
}

#[test]
fn a_process_with_little_reach_reads_no_settings_and_connects_nowhere() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = listener.local_addr().unwrap();
    let needs = Needs { system: SystemReach::NoConnections, ..Needs::default() };
    let gap = inside(needs, move |walls| {
        if let Some(gaps) = walls.gaps() {
            return Some(gaps);
        }
        let denied = |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
        assert!(denied(fs::read("/etc/passwd").unwrap_err()), "a file of /etc can be read");
        assert!(denied(TcpStream::connect(near).unwrap_err()), "a port can be connected to");
        assert!(denied(UnixStream::connect("/nowhere/at/all").unwrap_err()), "a socket can be connected to");
        assert!(fs::read("/proc/net/tcp").is_ok());
        None
    });
    if let Some(gap) = gap {
        skip(&format!("not all walls of this kernel are there: {gap}"));
    }
}

#[test]
fn what_stands_and_what_does_not_is_said() {
    let walls = Walls { no_new_privileges: Ok(()), files: Err("none here".to_owned()), calls: Ok(()) };
    assert_eq!(walls.to_string(), "no new privileges, filtered system calls");
    assert_eq!(walls.gaps().unwrap(), "Landlock: none here");
}
