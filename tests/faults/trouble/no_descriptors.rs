//! No descriptors left: whoever is not served hears so or waits, nothing is lost, and it ends with the shortage.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use super::{Kinds, Scene, succeed};
use crate::have::have;
use crate::site::{PATIENCE, Running, wait_until};

/// `command` with at most this many descriptors.
fn with_descriptors(count: usize, command: &Command) -> Command {
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--nofile={count}:{count}")).arg(command.get_program()).args(command.get_args());
    limited.current_dir(command.get_current_dir().unwrap()).env_remove("LEAFMAIL_CONFIG");
    limited
}

#[test]
fn a_receiver_without_descriptors_loses_nothing_and_recovers_by_itself() {
    if !have("prlimit") {
        return;
    }
    let mut scene = Scene::new("");
    let mut smtpd = scene.site.smtpd();
    smtpd.args(["--listen", "127.0.0.1:0"]);
    let smtpd = Running::start(with_descriptors(64, &smtpd));
    smtpd.wait_for_log("listening on");
    scene.accept(smtpd.address(), 5);
    // As many as there are descriptors, and more that nobody accepts.
    let idle: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(smtpd.address()).unwrap()).collect();
    let mut greeted = 0;
    for stream in &idle {
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut octets = [0; 256];
        match (&*stream).read(&mut octets) {
            Ok(count) if octets[..count].starts_with(b"220 ") => greeted += 1,
            // Refused, or in the queue of the kernel: the next ones are too.
            _ => break,
        }
    }
    assert!(greeted > 10, "{greeted} were greeted");
    // Those who are served already get an answer to every message: a promise kept, or a refusal for now.
    let mut answers = Vec::new();
    for mut stream in idle.iter().take(greeted).step_by(7) {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut ask = |octets: &[u8]| {
            stream.write_all(octets).unwrap();
            let mut reply = [0; 256];
            let count = stream.read(&mut reply).unwrap();
            String::from_utf8_lossy(&reply[..count]).into_owned()
        };
        let steps: [&[u8]; 4] =
            [b"HELO x\r\n", b"MAIL FROM:<alice@example.com>\r\n", b"RCPT TO:<bob@example.net>\r\n", b"DATA\r\n"];
        let last = steps.iter().map(|step| ask(step)).take_while(|reply| reply.starts_with(['2', '3'])).count();
        if last == steps.len() {
            let number = scene.next;
            scene.next += 1;
            let reply = ask(format!("{}.\r\n", crate::traffic::message(number)).as_bytes());
            if reply.starts_with("250 ") {
                scene.acknowledged.insert(number);
            }
            answers.push(reply);
        }
    }
    assert!(answers.iter().all(|reply| reply.starts_with("250 ") || reply.starts_with("451 4.3.0")), "{answers:?}");
    drop(idle);
    wait_until("mail to be taken again", || scene.offer(smtpd.address()).starts_with("DATA: 250"));
    scene.accept(smtpd.address(), 3);
    scene.kinds = Kinds::NoneThatFails;
    succeed(scene.flush());
    succeed(scene.flush());
    scene.assert_drained();
}

#[test]
fn a_forwarder_without_descriptors_sends_nothing_twice_and_loses_nothing() {
    if !have("prlimit") {
        return;
    }
    let mut scene = Scene::new("");
    scene.kinds = Kinds::NoneThatFails;
    let smtpd = scene.site.listen(&[]);
    scene.accept(smtpd.address(), 30);
    // From too few to start at all to nearly enough.
    for count in [4, 6, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 24] {
        with_descriptors(count, &scene.flush()).output().unwrap();
        scene.assert_intact();
    }
    succeed(scene.flush());
    scene.assert_drained();
}
