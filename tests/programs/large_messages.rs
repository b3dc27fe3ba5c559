//! 30 MB arrive octet for octet through both programs and two relays: by DATA and by BDAT, with and without TLS.

use std::fs;

use crate::client::original;
use crate::site::{Site, wait_until};
use crate::tls_and_logins::write_certificate;

const OCTETS: usize = 30_000_000;

/// Lines of all lengths up to 998 octets, many of which begin with dots, and with all octets that a message may have.
fn large() -> Vec<u8> {
    let mut octets = b"Subject: large\r\n\r\n".to_vec();
    let mut state = 1_u32;
    while octets.len() < OCTETS {
        // The linear congruential generator of Numerical Recipes.
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let (length, dots) = (draw() as usize % 990, draw() as usize % 4);
        octets.extend(std::iter::repeat_n(b'.', dots));
        let first = draw();
        octets.extend((0..length).map(|at| match (first as usize + at * 7) % 256 {
            0 | 10 | 13 => b'.',
            octet => u8::try_from(octet).unwrap(),
        }));
        octets.extend_from_slice(b"\r\n");
    }
    octets
}

#[test]
fn thirty_megabytes_arrive_octet_for_octet_by_data_and_bdat_with_and_without_tls() {
    let behind = Site::new("[tls]\ncertificate = \"cert\"\nkey = \"key\"");
    write_certificate(&behind);
    let receiver = behind.listen(&["--deliver", "-v"]);
    let message = large();
    for (number, (tls, chunking)) in
        [("none", false), ("none", true), ("required", false), ("required", true)].into_iter().enumerate()
    {
        let site = Site::new("");
        let text = fs::read_to_string(site.config()).unwrap();
        let relay = format!(
            "[relay]\nurl = \"smtp://localhost:{}?tls={tls}\"\nchunking = {chunking}\ntls_roots = \"{}\"\n#",
            receiver.address().port(),
            behind.path("cert").display()
        );
        fs::write(site.config(), text.replace("[relay]\n", &relay)).unwrap();
        let id = site.listen(&[]).client().submit("alice@example.com", &["bob@example.com"], &message);
        let output = site.run(&["-v"]);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains(&format!("{id}: removed")), "{tls} {chunking}:\n{words}\n{}", receiver.log());
        let said = ["> DATA", "> STARTTLS"].map(|command| words.contains(command));
        assert_eq!(said, [!chunking, tls == "required"], "what takes the place of DATA is BDAT: {words}");
        wait_until("delivery", || behind.delivered().len() == number + 1);
    }
    let all = behind.delivered();
    assert!(all.len() == 4 && all.iter().all(|delivered| original(delivered) == message));
}
