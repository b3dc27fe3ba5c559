//! What comes with the programs: the files of `contrib/` are in order and the install guide names them, and the summary of skipped
//! tests knows how to get what they lack.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/mod.rs"]
mod support;
use support::have::have;
use support::skipped;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust sources below `src` and `tests`, as one text.
fn sources() -> String {
    let mut folders = vec![root().join("src"), root().join("tests")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// All files below `contrib/`, from the root of the project.
fn contributed() -> Vec<String> {
    let mut folders = vec![root().join("contrib")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    assert!(files.len() >= 10, "only {files:?}");
    files
}

#[test]
fn the_install_guide_names_every_file_of_contrib() {
    let guide = fs::read_to_string(root().join("docs/install.md")).unwrap();
    for file in contributed() {
        assert!(guide.contains(&file), "docs/install.md does not name {file}");
    }
}

#[test]
fn the_sample_configuration_of_contrib_is_in_order() {
    let path = root().join("contrib/leafmail.toml");
    let config = leafmail::config::Config::parse(&fs::read_to_string(&path).unwrap(), &path).unwrap();
    config.check().unwrap();
    assert_eq!(config.spool, Path::new("/var/spool/leafmail"));
}

/// The units of `contrib/` in a folder of their own, with the programs of this build; with `leafmail-socket.conf` or without.
fn units(with_socket: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in contributed().iter().filter(|file| file.starts_with("contrib/systemd/")) {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let programs = [("smtpd", env!("CARGO_BIN_EXE_smtpd")), ("spoolrun", env!("CARGO_BIN_EXE_spoolrun"))];
        let text =
            programs.iter().fold(text, |text, (name, path)| text.replace(&format!("/usr/local/sbin/{name}"), path));
        let name = Path::new(file).file_name().unwrap();
        let mut to = folder.path().join(name);
        if name == "leafmail-socket.conf" {
            to = folder.path().join("leafmail.service.d/socket.conf");
            fs::create_dir(to.parent().unwrap()).unwrap();
        }
        if with_socket || name != "leafmail-socket.conf" {
            fs::write(to, text).unwrap();
        }
    }
    folder
}

/// What `systemd-analyze` says of a unit, which it must be content with.
fn analyze(folder: &Path, arguments: &[&str], unit: &str) {
    let output = Command::new("systemd-analyze").args(arguments).arg(format!("./{unit}")).current_dir(folder).output();
    let output = output.unwrap();
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && told[1].is_empty(), "{unit}: {arguments:?}: {}\n{}", told[0], told[1]);
}

#[test]
fn systemd_accepts_the_units_and_rates_their_exposure_at_2_or_less() {
    if !have("systemd-analyze") {
        return;
    }
    for with_socket in [false, true] {
        let folder = units(with_socket);
        for unit in [
            "leafmail.service",
            "leafmail.socket",
            "smtpd.socket",
            "smtpd@.service",
            "spoolrun.service",
            "leafmail-page.service",
            "spoolrun-once.service",
            "spoolrun-once.timer",
        ] {
            analyze(folder.path(), &["verify"], unit);
            if unit.ends_with(".service") {
                analyze(folder.path(), &["security", "--offline=true", "--no-pager", "--threshold=20"], unit);
            }
        }
    }
}

/// What is in quotation marks in calls of these functions, anywhere in the sources.
fn asked_for(functions: &[&str]) -> Vec<String> {
    let sources = sources();
    let mut names = Vec::new();
    for function in functions {
        for call in sources.split(&format!("{function}(")).skip(1) {
            let arguments = call.split(')').next().unwrap();
            if arguments.starts_with(['"', '&']) {
                names.extend(arguments.split('"').skip(1).step_by(2).map(str::to_owned));
            }
        }
    }
    names
}

#[test]
fn the_summary_of_skipped_tests_knows_how_to_get_whatever_a_test_asks_for() {
    let peers = fs::read_to_string(root().join(".ci/install-peers")).unwrap();
    let asked = asked_for(&["have", "may_run", "have_perl", "lacks"]);
    assert!(asked.len() > 50, "only {asked:?}");
    for name in asked.iter().map(String::as_str).filter(|name| !name.contains('{')) {
        let package = skipped::PACKAGES.iter().find(|(what, _)| *what == name);
        assert!(package.is_some() || skipped::UNPACKED.contains(&name), "no package is named for {name}");
    }
    for (name, package) in skipped::PACKAGES {
        let installed = peers.split_whitespace().any(|word| word == *package);
        assert!(installed, ".ci/install-peers does not install {package}, which has {name}");
    }
    for name in skipped::UNPACKED {
        assert!(peers.contains(name), ".ci/install-peers does not unpack {name}");
    }
}

#[test]
fn skipped_tests_are_counted_once_each_and_by_what_they_lack() {
    assert_eq!(skipped::summary(""), "skipped: nothing\n");
    let form = skipped::summary("form\tslow\tfaults-1\tlimits::e\n");
    assert!(form.starts_with("skipped: nothing\nleft out of the short form: 1 test"), "{form}");
    let records = "lacks\tmkfs.xfs\tfaults-1\tpower::a\nlacks\tmkfs.xfs\tfaults-1\tpower::b\n\
                   lacks\texim4\tprograms-1\treal::c\nhost\tonly root can do that\tprograms-1\tprivileges::d\n\
                   host\tonly root can do that\tprograms-1\tprivileges::d\nlacks\tcurl\tprograms-1\tmain\n\
                   form\tslow\tfaults-1\tlimits::e\n\
                   lacks\tcurl\tprograms-1\tmain\na torn line\n";
    let expected = "\
skipped: 5 tests, because something is not installed:
     2  curl
     1  exim4
     2  mkfs.xfs
skipped: 1 test, because this host does not allow it:
     1  only root can do that
left out of the short form: 1 test, because it takes long:
     1  slow
This installs what is missing (Debian, as root):
  apt-get install curl xfsprogs
This installs all that any test needs, and unpacks exim4 without installing a mail server:
  PATH=\"$(.ci/install-peers target/peers):$PATH\" cargo test
";
    assert_eq!(skipped::summary(records), expected);
}

/// The words for a step that a host may leave out are in one file; a script that wants others would fail on such a host alone.
#[test]
fn each_step_that_the_gate_may_leave_out_has_its_words() {
    let words = fs::read_to_string(root().join(".ci/left-out")).unwrap();
    let mut asked = 0;
    for entry in fs::read_dir(root().join(".ci")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(script) = fs::read_to_string(&path) else { continue };
        for line in script.lines().filter_map(|line| line.trim().strip_prefix("left_out ")) {
            let begin = line.trim_matches('"');
            assert!(
                words.contains(&format!("\n{begin}: ")) || words.contains(&format!("='{begin}: ")),
                "{}: {begin}",
                path.display()
            );
            asked += 1;
        }
    }
    assert_eq!(asked, 3);
}
