//! The decoder of message octets by examples, and against a reference.

use super::*;
use proptest::prelude::*;

/// What was decoded, what of the input was left (or `None` without an end), and the blemish.
type Result = (Vec<u8>, Option<Vec<u8>>, Option<Blemish>);

fn decode(pieces: &[&[u8]], bare_newline: BareNewline) -> Result {
    decode_from(pieces, bare_newline, LineEnds::CrLf)
}

fn decode_from(pieces: &[&[u8]], bare_newline: BareNewline, line_ends: LineEnds) -> Result {
    let mut decoder = BodyDecoder::new(bare_newline, line_ends);
    let mut out = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let decoded = decoder.decode(piece, &mut out);
        if decoded.ended {
            let mut rest = piece[decoded.taken..].to_vec();
            rest.extend(pieces[index + 1..].concat());
            return (out, Some(rest), decoder.blemish());
        }
    }
    (out, None, decoder.blemish())
}

fn refuse(text: &[u8]) -> Result {
    decode(&[text], BareNewline::Refuse)
}

#[test]
fn dots_are_unstuffed_at_line_starts_only() {
    let (text, rest, blemish) = refuse(b"..a\r\n.b\r\nc.\r\n...\r\n.\r\nQUIT\r\n");
    assert_eq!(text, b".a\r\nb\r\nc.\r\n..\r\n");
    assert_eq!(rest.as_deref(), Some(&b"QUIT\r\n"[..]));
    assert_eq!(blemish, None);
}

#[test]
fn a_dot_at_once_is_an_empty_message() {
    assert_eq!(refuse(b".\r\n"), (vec![], Some(vec![]), None));
}

#[test]
fn every_false_end_is_text_and_a_blemish() {
    for (end, blemish) in [
        (&b"\n.\n"[..], Blemish::BareLf),
        (b"\n.\r\n", Blemish::BareLf),
        (b"\r\n.\n", Blemish::BareLf),
        (b"\r.\r", Blemish::BareCr),
        (b"\r.\r\n", Blemish::BareCr),
        (b"\r\n.\r", Blemish::BareCr),
        (b"\r\n.\r\r\n", Blemish::BareCr),
        (b"\r\r\n.\r\r\n", Blemish::BareCr),
        (b"\r\n\0.\r\n", Blemish::Nul),
        (b"\r\n.\0\r\n", Blemish::Nul),
    ] {
        let (_, rest, found) = refuse(&[b"a", end, b"MAIL FROM:<x@y>\r\n.\r\n"].concat());
        assert_eq!(rest, Some(vec![]), "{end:?}: the end is the last dot");
        assert_eq!(found, Some(blemish), "{end:?}");
    }
}

#[test]
fn normalizing_mends_all_line_ends_but_ends_nowhere_else() {
    for (sent, stored) in [
        (&b"a\n.\n..b\n.\r\nc\r\n.\r\n"[..], &b"a\r\n.\r\n..b\r\n.\r\nc\r\n"[..]),
        (b"10%\r20%\r\n.\r\n", b"10%\r\n20%\r\n"),
        (b"a\r.\r..b\r.\r\nc\r\n.\r\n", b"a\r\n.\r\n..b\r\n.\r\nc\r\n"),
        (b"a\r\r\n..b\r\r\n\r\r\n.\r\r\nc\r\n.\r\n", b"a\r\n.b\r\n\r\n\r\nc\r\n"),
        (b"a\r\rb\r\r\r\nc\n\rd\r\n.\r\n", b"a\r\n\r\nb\r\nc\r\n\r\nd\r\n"),
        (b"\r\n.\r\r.\r\r\n.\r\n", b"\r\n\r\n\r\n.\r\n"),
        // Of a run that is too long to be one line end, the first are.
        (b"\r\r\r\r\r\r\r\r\r\r\n.\r\n", b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"),
    ] {
        let octets: Vec<&[u8]> = sent.chunks(1).collect();
        for pieces in [&[sent][..], &octets] {
            let (text, rest, blemish) = decode(pieces, BareNewline::Normalize);
            assert_eq!(text.escape_ascii().to_string(), stored.escape_ascii().to_string());
            assert_eq!((rest, blemish), (Some(vec![]), None), "{}", sent.escape_ascii());
        }
    }
    assert_eq!(decode(&[b"a\0b\r\n.\r\n"], BareNewline::Normalize).2, Some(Blemish::Nul), "NUL is none of them");
}

#[test]
fn where_every_line_may_end_in_lf_one_cr_lf_ends_the_exception() {
    let listed = |text: &[u8], mode| {
        let octets: Vec<&[u8]> = text.chunks(1).collect();
        let whole = decode_from(&[text], mode, LineEnds::LfAllowed);
        assert_eq!(decode_from(&octets, mode, LineEnds::LfAllowed), whole);
        whole
    };
    for mode in [BareNewline::Refuse, BareNewline::Normalize] {
        let (text, rest, blemish) = listed(b"a: b\n\n..c\n.d\n.\nQUIT\n", mode);
        assert_eq!(text, b"a: b\r\n\r\n.c\r\nd\r\n");
        assert_eq!((rest.as_deref(), blemish), (Some(&b"QUIT\n"[..]), None));
        assert_eq!(listed(b".\n", mode), (vec![], Some(vec![]), None));
        assert_eq!(listed(b"a\r\n.\r\nQUIT", mode), (b"a\r\n".to_vec(), Some(b"QUIT".to_vec()), None));
        // From the first CR LF on, LF . LF is no end; what is left is what the true end leaves.
        for mixed in [
            &b"a\r\nb\n.\nc\r\n.\r\n"[..],
            b"a\nb\r\nc\n.\nd\r\n.\r\n",
            b"a\n.\r\nb\n.\n\r\n.\r\n",
            b"\r\n\n.\n\r\n.\r\n",
        ] {
            let (_, rest, blemish) = listed(mixed, mode);
            assert_eq!(rest, Some(vec![]), "{}", mixed.escape_ascii());
            assert_eq!(blemish.is_some(), mode == BareNewline::Refuse, "{}", mixed.escape_ascii());
        }
    }
    assert_eq!(listed(b"a\rb\n.\n", BareNewline::Refuse).2, Some(Blemish::BareCr), "a CR alone is no line end");
}

#[test]
fn an_end_that_the_client_seems_to_mean_is_noticed() {
    let seen = |text: &[u8], line_ends| {
        let mut decoder = BodyDecoder::new(BareNewline::Refuse, line_ends);
        let octets = text.chunks(1).map(|octet| decoder.decode(octet, &mut Vec::new()).ended).collect::<Vec<_>>();
        assert!(!octets.contains(&true), "{}", text.escape_ascii());
        decoder.false_end()
    };
    for (text, expected) in [
        (&b"a\n.\n"[..], Some(FalseEnd::Lf)),
        (b"a\n.\nQUIT\n", Some(FalseEnd::Lf)),
        (b"a\n.\r\n", Some(FalseEnd::Lf)),
        (b".\n", Some(FalseEnd::Lf)),
        (b"a\r.\r", Some(FalseEnd::Cr)),
        (b"a\r.\r\n", Some(FalseEnd::Cr)),
        (b"a\r\r\n.\r\r\n", Some(FalseEnd::CrCrLf)),
        (b"a\r\n.\n", Some(FalseEnd::Lf)),
        (b"a\r\nb\n.\nc", None),
        (b"a\n.b\n", None),
        (b"a\n", None),
        (b"a\r\n.\r", None),
        (b"a\r\n.", None),
    ] {
        assert_eq!(seen(text, LineEnds::CrLf), expected, "{}", text.escape_ascii());
    }
    assert_eq!(seen(b"a\r\nb\n.\n", LineEnds::LfAllowed), Some(FalseEnd::Mixed));
}

#[test]
fn of_a_longer_run_of_crs_after_a_dot_the_first_ones_are_line_ends() {
    let run = b"\r".repeat(MAX_RUN);
    for (more, written) in [(&b""[..], b"\r\n".to_vec()), (b"\r", b"\r\n".repeat(MAX_RUN + 1))] {
        let text = [b"a\r\n.", &run[..], more, b"\nb\r\n.\r\n"].concat();
        let (found, rest, _) = decode(&[&text], BareNewline::Normalize);
        assert_eq!((found, rest), ([b"a\r\n", &written[..], b"b\r\n"].concat(), Some(vec![])), "{}", more.len());
    }
}

#[test]
fn the_cr_lf_before_the_end_is_noticed_where_lines_ended_in_lf() {
    let text = b"a\nb\r\n.\r\n";
    let (_, rest, blemish) = decode_from(&[text], BareNewline::Refuse, LineEnds::LfAllowed);
    assert_eq!((rest, blemish), (Some(vec![]), Some(Blemish::BareLf)));
}

#[test]
fn eight_bit_is_noticed() {
    let mut decoder = BodyDecoder::new(BareNewline::Refuse, LineEnds::CrLf);
    decoder.decode(b"abc\r\n", &mut Vec::new());
    assert!(!decoder.eight_bit());
    decoder.decode(b"\xfcber", &mut Vec::new());
    assert!(decoder.eight_bit());
}

/// The definition, without regard for speed: split at CR LF, stop at a line of one dot, drop one leading dot.
fn reference(text: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let line = &rest[..end];
        rest = &rest[end + 2..];
        if line == b"." {
            return (out, Some(rest.to_vec()));
        }
        out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        out.extend_from_slice(b"\r\n");
    }
    (out, None)
}

proptest! {
    #[test]
    fn any_octets_in_any_pieces_decode_as_the_reference(
        text in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a'), Just(0), any::<u8>()], 0..60),
        cut in 1_usize..9,
    ) {
        let whole = decode(&[&text], BareNewline::Refuse);
        let pieces: Vec<&[u8]> = text.chunks(cut).collect();
        prop_assert_eq!(&decode(&pieces, BareNewline::Refuse), &whole);
        let (expected, rest) = reference(&text);
        prop_assert_eq!(&whole.1, &rest);
        if rest.is_some() {
            prop_assert_eq!(&whole.0, &expected);
        }
    }
}
