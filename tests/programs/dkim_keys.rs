//! Keys of DKIM, which every build makes and shows, and builds that do not sign.

use std::fs;

use crate::have::have;
use crate::site::Site;

fn said(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A new key that signs the mail of a domain.
pub(crate) fn signing_key(site: &Site, domain: &str) {
    let output =
        site.spoolrun().args(["dkim-key", domain, "ed", "--key-file", "ed.pem", "--ed25519"]).output().unwrap();
    let told = said(output);
    let section = told.find("[[dkim]]").unwrap_or_else(|| panic!("{told}"));
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text + &told[section..]).unwrap();
}

#[test]
fn a_key_is_made_once_and_never_overwritten() {
    if !have("openssl") {
        return;
    }
    let site = Site::new("");
    let key = |more: &[&str]| {
        let output = site.spoolrun().args(["dkim-key", "example.com", "mail"]).args(more).output().unwrap();
        (output.status.code(), said(output))
    };
    let (code, first) = key(&["--key-file", "key.pem"]);
    assert_eq!(code, Some(0), "{first}");
    assert!(
        first.contains("mail._domainkey.example.com. IN TXT (\n\t\"v=DKIM1; k=rsa; p=") && first.contains("[[dkim]]")
    );
    assert!(first.lines().all(|line| !line.starts_with("\t\"") || line.len() < 262), "strings of 255 octets: {first}");
    let pem = fs::read(site.path("key.pem")).unwrap();
    assert_eq!(key(&["--key-file", "key.pem"]), (Some(0), first));
    assert_eq!(fs::read(site.path("key.pem")).unwrap(), pem);
    // All that is printed is a file of a key.
    let (_, printed) = key(&["--ed25519"]);
    fs::write(site.path("printed.pem"), &printed).unwrap();
    let (code, told) = key(&["--key-file", "printed.pem"]);
    let record = |text: &str| text.lines().find(|line| line.starts_with("text: ")).map(str::to_owned);
    assert_eq!((code, record(&told)), (Some(0), record(&printed)));
    fs::write(site.path("no.pem"), "no key").unwrap();
    let (code, told) = key(&["--key-file", "no.pem"]);
    assert!(code == Some(65) && told.contains("no.pem: expected a private key in PEM"), "{told}");
    assert_eq!(key(&["--key-file", "missing/key.pem"]).0, Some(73));
}

#[cfg(not(feature = "auth-checks"))]
#[test]
fn without_the_feature_a_configuration_with_keys_does_not_start() {
    let site = Site::new("[[dkim]]\ndomains = [\"example.com\"]\nselector = \"mail\"\nkey_file = \"key.pem\"\n");
    let output = site.run(&["--check"]);
    assert_eq!(output.status.code(), Some(78));
    let told = said(output);
    assert!(told.contains("built without the feature auth-checks, and signs nothing"), "{told}");
}
