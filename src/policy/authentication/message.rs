//! One message on its way: its signatures are verified as it streams, and DMARC is asked at its end.
//!
//! What is held is one header and what the verification needs. The header that is judged is the one that the client sent, without
//! our own fields.

use std::sync::Arc;

use async_trait::async_trait;

use super::author::{Author, author};
use super::judged::Judged;
use super::results::{Results, removals};
use super::sentences;
use super::shared::{PATIENCE, SenderVisit, Shared};
use crate::address::Domain;
use crate::dkim::{DKIM_TEST, DkimOutcome, DkimVerdict, MessageVerifier};
use crate::dmarc::{self, DmarcIdentities, DmarcOutcome, DmarcPolicy, DmarcVerdict};
use crate::dns::{Dns, DnsRecord, RecordKind};
use crate::envelope::Peer;
use crate::policy::refusals::dns_trouble;
use crate::policy::{Inspection, Strictness};
use crate::session::{Additions, Verdict};
use crate::smtp::header::{HeaderEdit, end_of_header};
use crate::spf::SpfResult;

/// The largest header, in octets: 256 KiB are received, and fields of ours and of policies are added.
const MAX_HEADER: usize = 512 * 1024;
/// Notes about signatures.
const MOST_NOTES: usize = 3;

/// One message.
pub(super) struct MessageCheck {
    shared: Arc<Shared>,
    session: u64,
    peer: Peer,
    /// Of a client that is checked; of others only forged results are removed.
    judges: bool,
    dkim: Strictness,
    dmarc: Strictness,
    visit: SenderVisit,
    /// The header as far as it has come; `None` once it was read.
    header: Option<Vec<u8>>,
    verifier: Option<MessageVerifier>,
    author: Author,
    /// `None`: too many.
    removals: Option<Vec<HeaderEdit>>,
}

impl MessageCheck {
    /// `strictness`: of DKIM and of DMARC, for a client that is checked.
    pub(super) fn new(
        shared: Arc<Shared>,
        session: u64,
        peer: Peer,
        strictness: Option<(Strictness, Strictness)>,
    ) -> Self {
        let (dkim, dmarc) = strictness.unwrap_or_default();
        Self {
            shared,
            session,
            peer,
            judges: strictness.is_some(),
            dkim,
            dmarc,
            visit: SenderVisit::default(),
            header: Some(Vec::new()),
            verifier: None,
            author: Author::Nobody,
            removals: Some(Vec::new()),
        }
    }

    /// The header is whole.
    fn read(&mut self, header: &[u8]) {
        // What was found out at MAIL, and how long the header is that the client sent.
        self.visit = self.shared.take(self.session);
        let ours = header.len().saturating_sub(self.visit.header);
        let settings = &self.shared.settings;
        self.removals = removals(header, ours, &settings.authserv_id);
        if self.dkim.max(self.dmarc) != Strictness::Off {
            self.verifier = Some(MessageVerifier::new(&header[ours..], self.shared.now()));
            self.author = author(&header[ours..]);
        }
    }

    fn take(&mut self, octets: &[u8]) {
        let Some(mut header) = self.header.take() else {
            if let Some(verifier) = &mut self.verifier {
                verifier.body(octets);
            }
            return;
        };
        let filled = header.len();
        header.extend_from_slice(octets);
        match end_of_header(&header, filled.saturating_sub(3)) {
            Some(end) => {
                self.read(&header[..end]);
                if let Some(verifier) = &mut self.verifier {
                    verifier.body(&header[end + 2..]);
                }
            }
            // No session lets such a header through.
            None if header.len() > MAX_HEADER => {
                self.read(&[]);
                self.removals = None;
            }
            None => self.header = Some(header),
        }
    }

    /// What became of the signatures; each key is asked for at the same time.
    async fn signatures(&mut self) -> Option<Vec<DkimOutcome>> {
        let mut verifier = self.verifier.take()?;
        verifier.end();
        let shared = &self.shared;
        let names = verifier.key_names();
        let asking: Vec<_> = names
            .into_iter()
            .map(|name| {
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    let Some(name) = name else { return Some(Vec::new()) };
                    let answer = tokio::time::timeout(PATIENCE, shared.dns.lookup(&name, RecordKind::Txt)).await;
                    let texts = |record: &DnsRecord| match record {
                        DnsRecord::Text(text) => Some(text.clone()),
                        _ => None,
                    };
                    match answer {
                        Ok(Ok(answer)) => Some(answer.records().iter().filter_map(texts).take(4).collect()),
                        Ok(Err(error)) => {
                            shared.warn(&format!("DKIM: {error}"));
                            None
                        }
                        Err(_late) => None,
                    }
                })
            })
            .collect();
        let mut keys = Vec::new();
        for answer in asking {
            keys.push(answer.await.unwrap_or_default());
        }
        Some(verifier.verify(&keys))
    }

    async fn dmarc(&self, signatures: &[DkimOutcome]) -> DmarcOutcome {
        let Some(author) = self.author.domain() else { return DmarcOutcome::without_policy(DmarcVerdict::PermError) };
        let passed: Vec<&Domain> = signatures
            .iter()
            .filter(|outcome| outcome.verdict == DkimVerdict::Pass)
            .filter_map(|outcome| Some(&outcome.tags.as_ref()?.domain))
            .collect();
        // The first one is of the sender, or of the name in HELO where there is none.
        let of_sender = self.visit.spf.first();
        let with = |result| of_sender.filter(|judged| judged.outcome.result == result);
        let spf = with(SpfResult::Pass).and_then(|judged| Domain::of_records(judged.domain.trim_end_matches('.')));
        let is_uncertain = with(SpfResult::TempError).is_some()
            || signatures.iter().any(|outcome| outcome.verdict == DkimVerdict::TempError);
        let known = DmarcIdentities { author, spf: spf.as_ref(), dkim: &passed, is_uncertain };
        let answer = tokio::time::timeout(PATIENCE, dmarc::evaluate(&self.shared.dns, &known)).await;
        answer.unwrap_or_else(|_late| DmarcOutcome::unknown("the DNS took too long".to_owned()))
    }

    fn judge_signatures(&self, signatures: &[DkimOutcome], additions: &mut Additions) -> Option<Verdict> {
        if self.dkim == Strictness::Off {
            return None;
        }
        for outcome in signatures.iter().take(MOST_NOTES) {
            let name =
                outcome.tags.as_ref().map(|tags| format!("the signature of {} ({})", tags.domain, tags.selector));
            let reason = outcome.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let name = name.unwrap_or_else(|| "a signature".to_owned());
            let note = format!("DKIM: {} for {name}{reason}", outcome.verdict.as_str());
            self.note(&note, outcome.verdict != DkimVerdict::Pass, additions);
        }
        let has = |verdict| signatures.iter().any(|outcome| outcome.verdict == verdict);
        // RFC 6376 3.6.1: mail of a domain that tests DKIM is no other than mail without a signature.
        let is_unsigned = signatures.iter().all(|outcome| outcome.reason == Some(DKIM_TEST));
        if self.dkim != Strictness::Refuse || is_unsigned || has(DkimVerdict::Pass) {
            return None;
        }
        Some(if has(DkimVerdict::TempError) {
            Verdict::Defer(dns_trouble("authentication.dkim"))
        } else {
            Verdict::Refuse(sentences::no_signature_passes())
        })
    }

    fn judge_author(&self, outcome: &DmarcOutcome, additions: &mut Additions) -> Option<Verdict> {
        let author = self.author.domain().map_or_else(|| "From:".to_owned(), ToString::to_string);
        let policy = outcome.policy.map(|policy| format!(" (p={policy})")).unwrap_or_default();
        let why = outcome.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
        let note = format!("DMARC: {} for {author}{policy}{why}", outcome.verdict.as_str());
        let is_good = matches!(outcome.verdict, DmarcVerdict::Pass | DmarcVerdict::None);
        self.note(&note, !is_good, additions);
        if outcome.verdict == DmarcVerdict::TempError {
            self.shared.warn(&note);
        }
        if self.dmarc != Strictness::Refuse {
            return None;
        }
        match (outcome.verdict, outcome.policy) {
            // Else whoever adds a second domain would be asked about none.
            (DmarcVerdict::PermError, _) if self.author == Author::Unclear => {
                Some(Verdict::Refuse(sentences::unclear_author()))
            }
            (DmarcVerdict::Fail, Some(DmarcPolicy::Reject)) => Some(Verdict::Refuse(sentences::dmarc_reject(&author))),
            (DmarcVerdict::Fail, Some(DmarcPolicy::Quarantine)) => {
                additions.join(Additions::hold(&sentences::dmarc_quarantine(&author)));
                None
            }
            (DmarcVerdict::TempError, policy) if policy != Some(DmarcPolicy::None) => {
                Some(Verdict::Defer(dns_trouble("authentication.dmarc")))
            }
            _ => None,
        }
    }

    fn note(&self, note: &str, is_logged: bool, additions: &mut Additions) {
        if is_logged {
            log::info!("[{}] noted: {}", self.peer, crate::address::escaped(note));
        }
        additions.join(Additions::note(note));
    }

    /// The results as a field, and the removals of forged ones.
    fn edits(&self, signatures: Option<&[DkimOutcome]>, dmarc: Option<&DmarcOutcome>) -> Additions {
        let settings = &self.shared.settings;
        let spf: &[Judged] = if self.judges { &self.visit.spf } else { &[] };
        let results = Results {
            authserv_id: &settings.authserv_id,
            sender: &self.visit.sender,
            spf,
            dkim: signatures,
            dmarc: dmarc.map(|outcome| (outcome, self.author.domain())),
        };
        let field = results.field().map(|field| HeaderEdit::Insert(0, field));
        Additions::edits(field.into_iter().chain(self.removals.iter().flatten().cloned()).collect())
    }
}

#[async_trait]
impl Inspection for MessageCheck {
    async fn octets(&mut self, octets: &[u8]) {
        self.take(octets);
    }

    async fn end(mut self: Box<Self>) -> Verdict {
        if let Some(header) = self.header.take() {
            self.read(&header);
        }
        if self.removals.is_none() {
            return Verdict::Refuse(sentences::too_many_results());
        }
        let (mut additions, mut deferral) = (Additions::default(), None);
        let signatures = self.signatures().await;
        let dmarc = if self.dmarc != Strictness::Off {
            Some(self.dmarc(signatures.as_deref().unwrap_or_default()).await)
        } else {
            None
        };
        let of_signatures = signatures.as_deref().and_then(|all| self.judge_signatures(all, &mut additions));
        let of_author = dmarc.as_ref().and_then(|outcome| self.judge_author(outcome, &mut additions));
        for verdict in of_signatures.into_iter().chain(of_author) {
            match verdict {
                Verdict::Defer(reply) => deferral = deferral.or(Some(reply)),
                refused => return refused,
            }
        }
        additions.join(self.edits(signatures.as_deref(), dmarc.as_ref()));
        deferral.map_or_else(|| Verdict::accept_with(additions), Verdict::Defer)
    }
}
