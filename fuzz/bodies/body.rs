//! Message octets after DATA, against a reference that is too simple to be wrong, and however they are cut.

use leafmail::smtp::body::{BareNewline, Blemish, BodyDecoder};
use leafmail::smtp::chunk::ChunkDecoder;

use super::bytes::Bytes;

/// What a message is, by the whole of its octets (RFC 5321 4.5.2, 2.3.8): the message, how many octets it took with its
/// end, and what was wrong first. `None` where it does not end.
fn reference(octets: &[u8], normalize: bool) -> Option<(Vec<u8>, usize, Option<Blemish>)> {
    let (mut message, mut blemish, mut at, mut line_start) = (Vec::new(), None, 0, true);
    loop {
        let rest = &octets[at..];
        if line_start && rest.starts_with(b".\r\n") {
            return Some((message, at + 3, blemish));
        }
        if line_start && rest.first() == Some(&b'.') {
            at += 1;
            line_start = false;
            continue;
        }
        line_start = false;
        match rest {
            [] => return None,
            [b'\r', b'\n', ..] => {
                message.extend(b"\r\n");
                line_start = true;
                at += 1;
            }
            [b'\n', ..] if normalize => message.extend(b"\r\n"),
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
    for (bare_newline, normalize) in [(BareNewline::Refuse, false), (BareNewline::Normalize, true)] {
        let mut decoder = BodyDecoder::new(bare_newline);
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
        match reference(bytes.0, normalize) {
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
