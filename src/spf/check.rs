//! One check of one identity: RFC 7208's function `check_host()`.

use super::evaluation::SpfEvaluation;
use super::macros::name_in_dns;
use super::outcome::{SpfClient, SpfOutcome, SpfResult};
use crate::dns::Dns;

/// Asks what `domain` says of the client: the domain of the sender, or the client's name in HELO.
pub async fn check_host(dns: &dyn Dns, client: &SpfClient<'_>, domain: &str) -> SpfOutcome {
    // RFC 7208 4.3: no name of two labels or more has no record.
    let Some(domain) = name_in_dns(domain).filter(|domain| domain.as_str().contains('.')) else {
        return SpfOutcome::new(SpfResult::None);
    };
    let mut evaluation = SpfEvaluation::new(dns, client);
    match evaluation.check(domain).await {
        Err(stop) => SpfOutcome::stopped(stop),
        Ok(found) => {
            let explanation = match &found.explained {
                Some((target, domain)) if found.result == SpfResult::Fail => {
                    evaluation.explanation(target, domain).await
                }
                _ => None,
            };
            SpfOutcome { result: found.result, mechanism: found.mechanism, problem: None, explanation }
        }
    }
}
