//! Message octets after DATA, against a reference that is too simple to be wrong, and however they are cut.

use leafmail::smtp::body::{BareNewline, Blemish, BodyDecoder, LineEnds};
use leafmail::smtp::chunk::ChunkDecoder;

use super::bytes::Bytes;

/// How line ends are read.
#[derive(Clone, Copy)]
struct Rules {
    /// A bare CR or LF becomes CR LF, and CR CR LF one CR LF.
    normalize: bool,
    /// As long as no line ended in CR LF, LF ends lines and the message.
    lf_allowed: bool,
}

/// How many CRs these octets begin with, where an LF follows them.
fn crs_before_lf(octets: &[u8]) -> Option<usize> {
    let crs = octets.iter().take_while(|octet| **octet == b'\r').count();
    (crs > 0 && octets.get(crs) == Some(&b'\n')).then_some(crs)
}

/// What a message is, by the whole of its octets (RFC 5321 4.5.2, 2.3.8): the message, how many octets it took with its
/// end, and what was wrong first. `None` where it does not end.
fn reference(octets: &[u8], rules: Rules) -> Option<(Vec<u8>, usize, Option<Blemish>)> {
    let (mut message, mut blemish, mut at, mut line_start) = (Vec::new(), None, 0, true);
    // Whether lines may still end in LF, and whether one did.
    let (mut lf_allowed, mut lf) = (rules.lf_allowed, false);
    loop {
        let rest = &octets[at..];
        let line_begins = std::mem::take(&mut line_start);
        match rest {
            [] => return None,
            [b'.', b'\r', b'\n', ..] if line_begins && !lf => return Some((message, at + 3, blemish)),
            [b'.', b'\n', ..] if line_begins && lf_allowed => return Some((message, at + 2, blemish)),
            // Stuffed; but a line that ends in CR LF among lines that end in LF was not.
            [b'.', rest @ ..] if line_begins && !(lf && crs_before_lf(rest).is_some_and(|crs| crs <= 8)) => {}
            [b'\r', ..] if crs_before_lf(rest).is_some() => {
                let crs = crs_before_lf(rest).unwrap_or(1);
                // Up to eight are one line end.
                let alone = if rules.normalize { (crs - 1) / 8 * 8 } else { crs - 1 };
                for _ in 0..alone {
                    message.extend(if rules.normalize { &b"\r\n"[..] } else { b"\r" });
                }
                if alone > 0 && !rules.normalize {
                    blemish = blemish.or(Some(Blemish::BareCr));
                }
                if lf && lf_allowed && !rules.normalize {
                    blemish = blemish.or(Some(Blemish::BareLf));
                }
                message.extend(b"\r\n");
                (line_start, lf, lf_allowed) = (true, false, false);
                at += crs;
            }
            [b'\n', ..] if lf_allowed => {
                message.extend(b"\r\n");
                (line_start, lf) = (true, true);
            }
            [b'\n' | b'\r', ..] if rules.normalize => message.extend(b"\r\n"),
            [octet, ..] => {
                let found = match octet {
                    b'\r' => Some(Blemish::BareCr),
                    b'\n' => Some(Blemish::BareLf),
                    0 => Some(Blemish::Nul),
                    _ => None,
                };
                blemish = blemish.or(found);
                message.push(*octet);
            }
        }
        at += 1;
    }
}

pub(super) fn body(octets: &[u8]) {
    let mut bytes = Bytes(octets);
    let cut = bytes.octet();
    for (normalize, lf_allowed) in [(false, false), (true, false), (false, true), (true, true)] {
        let bare_newline = if normalize { BareNewline::Normalize } else { BareNewline::Refuse };
        let line_ends = if lf_allowed { LineEnds::LfAllowed } else { LineEnds::CrLf };
        let mut decoder = BodyDecoder::new(bare_newline, line_ends);
        let (mut message, mut taken, mut ended) = (Vec::new(), 0, false);
        for piece in bytes.pieces(cut) {
            let decoded = decoder.decode(piece, &mut message);
            taken += decoded.taken;
            assert!(decoded.ended || decoded.taken == piece.len(), "octets were left without an end");
            if decoded.ended {
                ended = true;
                break;
            }
        }
        match reference(bytes.0, Rules { normalize, lf_allowed }) {
            None => assert!(!ended, "it ended before its end"),
            Some(expected) => {
                assert_eq!((message, taken, decoder.blemish()), expected);
                assert!(ended);
            }
        }
        chunks(&bytes, cut, bare_newline);
    }
}

/// BDAT: the same in any pieces, and as it was sent where nothing is wrong with it.
fn chunks(bytes: &Bytes<'_>, cut: u8, bare_newline: BareNewline) {
    let decode = |pieces: &[&[u8]]| {
        let (mut decoder, mut message) = (ChunkDecoder::new(bare_newline), Vec::new());
        pieces.iter().for_each(|piece| decoder.decode(piece, &mut message));
        decoder.finish(&mut message);
        (message, decoder.blemish(), decoder.eight_bit())
    };
    let whole = decode(&[bytes.0]);
    assert_eq!(decode(&bytes.pieces(cut)), whole);
    if whole.1.is_none() && bare_newline == BareNewline::Refuse {
        assert!(whole.0.starts_with(bytes.0), "it is not what was sent");
    }
}
