//! When a policy is fetched, and which one counts.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;
use crate::dns::FixedNames;

/// Serves this text, and counts.
#[derive(Debug, Default)]
struct Served {
    text: Mutex<Option<String>>,
    asked: Mutex<usize>,
}

impl PolicySource for Served {
    fn fetch(&self, request: &Request) -> Result<String, String> {
        *self.asked.lock().unwrap() += 1;
        assert_eq!(request.host.as_str(), "mta-sts.d.example");
        self.text.lock().unwrap().clone().ok_or_else(|| "nobody answers".to_owned())
    }
}

struct Scene {
    served: Arc<Served>,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { served: Arc::default(), folder: tempfile::tempdir().unwrap() }
    }

    /// From now on this is served; `None`: nothing.
    fn serve(&self, mode: Option<&str>) {
        let text = mode.map(|mode| format!("version: STSv1\nmode: {mode}\nmx: *.d.example\nmax_age: 604800\n"));
        *self.served.text.lock().unwrap() = text;
    }

    /// As another process would ask, where the DNS has this record; `None`: it does not answer.
    fn ask(&self, record: Option<&str>) -> FoundPolicy {
        self.ask_with(record, |_| {})
    }

    fn ask_with(&self, record: Option<&str>, prepare: impl Fn(&MtaSts)) -> FoundPolicy {
        let settings = MtaStsSettings { folder: self.folder.path().to_owned(), port: 443 };
        let mut sts = MtaSts::new(&settings);
        sts.source = Arc::clone(&self.served) as Arc<dyn PolicySource>;
        prepare(&sts);
        let name = |text: &str| text.parse::<Domain>().unwrap();
        let dns = FixedNames::default().forward(name("mta-sts.d.example"), [192, 88, 98, 1].into());
        let dns = match record {
            Some("") => dns,
            Some(record) => dns.text(name("_mta-sts.d.example"), record),
            None => dns.failing(name("_mta-sts.d.example")),
        };
        let certificates = Certificates::default();
        let means = FetchMeans { dns: &dns, networks: &[], ip: IpVersion::Any, certificates: &certificates };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(sts.policy(&name("d.example"), means))
    }

    fn asked(&self) -> usize {
        std::mem::take(&mut *self.served.asked.lock().unwrap())
    }

    /// The policy was fetched this number of hours ago.
    fn age(&self, hours: u64) {
        let file = File::options().write(true).open(self.folder.path().join("d.example.json")).unwrap();
        // Writing it makes it new.
        file.write_at(b"{", 0).unwrap();
        let now = file.metadata().unwrap().modified().unwrap();
        file.set_modified(now - Duration::from_secs(hours * 3600)).unwrap();
    }
}

const ONE: Option<&str> = Some("v=STSv1; id=one;");
const TWO: Option<&str> = Some("v=STSv1; id=two;");

fn mode(found: &FoundPolicy) -> Option<StsMode> {
    found.policy.as_ref().and_then(|policy| policy.mode)
}

#[test]
fn a_policy_is_fetched_once_and_again_by_its_name_or_after_a_day() {
    let scene = Scene::new();
    scene.serve(Some("testing"));
    assert_eq!((mode(&scene.ask(ONE)), scene.asked()), (Some(StsMode::Testing), 1));
    scene.serve(Some("enforce"));
    assert_eq!((mode(&scene.ask(ONE)), scene.asked()), (Some(StsMode::Testing), 0), "it is kept");
    assert_eq!((mode(&scene.ask(TWO)), scene.asked()), (Some(StsMode::Enforce), 1), "it has another name");
    scene.age(23);
    assert_eq!((mode(&scene.ask(TWO)), scene.asked()), (Some(StsMode::Enforce), 0));
    scene.age(25);
    scene.serve(Some("none"));
    let found = scene.ask(TWO);
    assert_eq!((found.policy.is_some(), mode(&found), scene.asked()), (true, None, 1), "a day is over");
}

#[test]
fn a_policy_counts_until_it_expires_whatever_fails() {
    let scene = Scene::new();
    scene.serve(Some("enforce"));
    scene.ask(ONE);
    scene.serve(None);
    scene.age(100);
    let kept = scene.ask(TWO);
    assert_eq!(mode(&kept), Some(StsMode::Enforce));
    assert!(kept.trouble.unwrap().contains("nobody answers; the former one counts until it expires"));
    assert_eq!(mode(&scene.ask(None)), Some(StsMode::Enforce), "the DNS does not answer");
    assert_eq!(mode(&scene.ask(Some(""))), Some(StsMode::Enforce), "the record is gone");
    scene.age(24 * 7);
    assert_eq!(mode(&scene.ask(TWO)), None, "it has expired");
}

#[test]
fn without_a_record_or_a_policy_mail_goes_as_if_there_were_none() {
    let scene = Scene::new();
    assert_eq!((scene.ask(Some("")), scene.asked()), (FoundPolicy::default(), 0));
    assert_eq!((scene.ask(Some("v=STSv1;")), scene.asked()), (FoundPolicy::default(), 0));
    let found = scene.ask(None);
    assert_eq!((found.policy, found.trouble.is_some(), scene.asked()), (None, true, 0));
    let found = scene.ask(ONE);
    assert_eq!((found.policy, scene.asked()), (None, 1));
    assert!(found.trouble.unwrap().contains("mail goes as if there were none"));
    scene.serve(Some("wrong"));
    assert!(scene.ask(ONE).trouble.unwrap().contains("expected \"mode: \""));
    assert!(!scene.folder.path().join("d.example.json").exists());
}

#[test]
fn after_a_failure_a_domain_is_left_alone_for_a_while() {
    let scene = Scene::new();
    let found = scene.ask_with(ONE, |sts| sts.note_failure(&"d.example".parse().unwrap()));
    assert_eq!((found, scene.asked()), (FoundPolicy::default(), 0));
    let scene = Scene::new();
    scene.ask_with(ONE, |sts| sts.note_failure(&"other.example".parse().unwrap()));
    assert_eq!(scene.asked(), 1);
}
