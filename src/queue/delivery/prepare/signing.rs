//! The signatures of an outgoing message, after all other changes.
//!
//! The stored octets are read once more for them, in pieces. A message that a key is for is never prepared without its signature.

use crate::queue::delivery::body::NewHeader;
use crate::queue::delivery::outgoing::Unprepared;
use crate::queue::delivery::task::DeliveryTask;
use crate::receipt::{Cause, Reason};
use crate::routing::author_domain;
use crate::smtp::EnhancedCode;
use crate::smtp::long_lines::QuotedPrintable;
use crate::spool::{Claim, Spool, SpoolError};
use crate::transport::RouteFailure;

impl<S: Spool> DeliveryTask<'_, S> {
    /// The header with its signatures, if there is a key for it; `changed` is the header as it would go otherwise.
    pub(super) fn signed(
        &self,
        changed: Option<NewHeader>,
        encodes_body: bool,
    ) -> Result<Option<NewHeader>, Unprepared> {
        let signing = &self.runner.readdressing.signing;
        if signing.is_empty() {
            return Ok(changed);
        }
        let header = match changed {
            Some(header) => header,
            None => {
                let octets = self.stored_header()?;
                NewHeader { replaced: octets.len() as u64, octets }
            }
        };
        let Some(author) = author_domain(&header.octets) else { return Ok(Some(header)) };
        let Some(signer) = signing.signer(&self.envelope, &author).map_err(|reason| self.cannot_sign(reason))? else {
            return Ok(Some(header));
        };
        let mut encoder = encodes_body.then(QuotedPrintable::default);
        let signed = signer.sign(&header.octets, |take| -> Result<(), SpoolError> {
            let mut encoded = Vec::new();
            self.each_piece(header.replaced, |piece| match &mut encoder {
                None => take(piece),
                Some(encoder) => {
                    encoded.clear();
                    encoder.feed(piece, &mut encoded);
                    take(&encoded);
                }
            })?;
            if let Some(encoder) = &mut encoder {
                encoded.clear();
                encoder.finish(&mut encoded);
                take(&encoded);
            }
            Ok(())
        })?;
        let mut octets = signed.map_err(|reason| self.cannot_sign(reason))?;
        octets.extend_from_slice(&header.octets);
        Ok(Some(NewHeader { octets, ..header }))
    }

    /// It is the trouble of this host, which no sender is notified of.
    fn cannot_sign(&self, reason: String) -> Unprepared {
        log::debug!("{}: it has to be signed, and cannot be: {reason}", self.claim.id());
        let reason = Reason::new(EnhancedCode(4, 3, 5), reason).because(Cause::SigningKey);
        Unprepared::Route(RouteFailure::new(reason, self.runner.hostname.to_string()))
    }
}
