//! Text of any charset of mail as UTF-8.
//!
//! Invariant: there is always a text, without NUL. Where a label is missing, unknown, or says US-ASCII of octets above 127, octets that
//! are UTF-8 are taken for that, and others for windows-1252, which is what programs that do not say so mean.

use mail_parser::decoders::charsets::map::charset_decoder;

/// The charsets that other programs know by more names.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("cp932", "shift_jis"),
    ("ms932", "shift_jis"),
    ("windows-31j", "shift_jis"),
    ("x-sjis", "shift_jis"),
    ("cp949", "euc-kr"),
    ("ms949", "euc-kr"),
    ("uhc", "euc-kr"),
    ("windows-949", "euc-kr"),
    ("ks_c_5601-1987", "euc-kr"),
    ("ibm437", "cp437"),
    ("437", "cp437"),
    ("ibm852", "cp852"),
    ("852", "cp852"),
    ("hz", "hz-gb-2312"),
    ("utf8", "utf-8"),
];

/// Octets 128 to 255 of two code pages of DOS.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
const CP852: &str = "ÇüéâäůćçłëŐőîŹÄĆÉĹĺôöĽľŚśÖÜŤťŁ×čáíóúĄąŽžĘę¬źČş«»░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐└┴┬├─┼Ăă╚╔╩╦╠═╬¤đĐĎËďŇÍÎě┘┌█▄ŢŮ▀ÓßÔŃńňŠšŔÚŕŰýÝţ´\u{ad}˝˛ˇ˘§÷¸°¨˙űŘř■\u{a0}";

/// The text of octets with this label, which may be any text or empty.
pub(super) fn decoded(octets: &[u8], label: &str) -> String {
    let label = canonical(label);
    let text = match label.as_str() {
        "" | "us-ascii" | "ascii" | "ansi_x3.4-1968" | "unknown-8bit" | "x-unknown" => guessed(octets),
        "utf-8" => String::from_utf8_lossy(octets).into_owned(),
        "utf-32" | "utf-32be" | "utf-32le" => utf32(octets, label == "utf-32le"),
        "cp437" => by_table(octets, CP437),
        "cp852" => by_table(octets, CP852),
        "hz-gb-2312" => with("gb18030", &eight_bit_hz(octets)),
        "iso-2022-kr" => with("euc-kr", &eight_bit_kr(octets)),
        other => with(other, octets),
    };
    cleaned(text)
}

/// Text that each database takes: without the mark that says which octet comes first, and without NUL, which PostgreSQL refuses.
pub(super) fn cleaned(mut text: String) -> String {
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// A label in small letters, without quotes and a language (RFC 2231 5), by the name that is used here.
pub(super) fn canonical(label: &str) -> String {
    let plain =
        label.split('*').next().unwrap_or_default().trim_matches(|c: char| c == '"' || c == '\'' || c.is_whitespace());
    let plain = plain.to_ascii_lowercase();
    let known = OTHER_NAMES.iter().find(|(other, _)| *other == plain);
    known.map_or(plain, |(_, name)| (*name).to_owned())
}

/// The text of octets of which nobody said what they are.
pub(super) fn guessed(octets: &[u8]) -> String {
    str::from_utf8(octets).map_or_else(|_| with("windows-1252", octets), str::to_owned)
}

fn with(charset: &str, octets: &[u8]) -> String {
    match charset_decoder(charset.as_bytes()) {
        Some(decoder) => decoder(octets),
        None => guessed(octets),
    }
}

fn by_table(octets: &[u8], upper: &str) -> String {
    let table: Vec<char> = upper.chars().collect();
    let letter = |octet: &u8| match octet {
        0..128 => char::from(*octet),
        _ => table.get(usize::from(*octet) - 128).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    octets.iter().map(letter).collect()
}

fn utf32(octets: &[u8], little: bool) -> String {
    let little = little || octets.starts_with(&[0xff, 0xfe, 0, 0]);
    let number = |four: &[u8]| {
        let four: [u8; 4] = four.try_into().unwrap_or_default();
        if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) }
    };
    let letter = |four: &[u8]| char::from_u32(number(four)).unwrap_or(char::REPLACEMENT_CHARACTER);
    octets.chunks_exact(4).map(letter).collect()
}

/// RFC 1843: between `~{` and `~}` two octets of seven bits are one letter of GB 2312.
fn eight_bit_hz(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    let (mut chinese, mut rest) = (false, octets);
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        match (*first, others.first(), chinese) {
            (b'~', Some(b'{'), false) | (b'~', Some(b'}'), true) => (chinese, rest) = (!chinese, &others[1..]),
            (b'~', Some(b'~'), false) => {
                out.push(b'~');
                rest = &others[1..];
            }
            // A line that ends with it goes on.
            (b'~', Some(b'\n'), false) => rest = &others[1..],
            (b'\n', _, true) => {
                chinese = false;
                out.push(b'\n');
            }
            (octet, _, true) => out.push(octet | 0x80),
            (octet, _, false) => out.push(octet),
        }
    }
    out
}

/// RFC 1557: between SO and SI two octets of seven bits are one letter.
fn eight_bit_kr(octets: &[u8]) -> Vec<u8> {
    let octets = octets.strip_prefix(b"\x1b$)C").unwrap_or(octets);
    let mut korean = false;
    let mut out = Vec::with_capacity(octets.len());
    for octet in octets {
        match *octet {
            0x0e => korean = true,
            0x0f => korean = false,
            octet if korean && octet > b' ' => out.push(octet | 0x80),
            octet => {
                korean &= octet != b'\n';
                out.push(octet);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_without_a_true_label_are_utf_8_or_windows_1252() {
        for label in ["", "us-ascii", "\"US-ASCII\"", "x-nonsense", "unknown-8bit"] {
            assert_eq!(decoded("Grüße".as_bytes(), label), "Grüße", "{label}");
            assert_eq!(decoded(b"Gr\xfc\xdfe \x80", label), "Grüße €", "{label}");
        }
    }

    #[test]
    fn names_of_other_programs_and_shifted_sets_are_read() {
        for (octets, label, text) in [
            (&b"\x82\xb1\x82\xf1"[..], "cp932", "こん"),
            (b"\xbe\xc8\xb3\xe7", "CP949", "안녕"),
            (b"\xbe\xc8\xb3\xe7", "ks_c_5601-1987", "안녕"),
            (b"~{DcC@~}, ok~~", "hz-gb-2312", "你美, ok~"),
            (b"\x1b$)C\x0e>H3g\x0f ok", "iso-2022-kr", "안녕 ok"),
            (b"\0\0\xfe\xff\0\x01\xf6\0", "utf-32", "😀"),
            (b"\0\xf6\x01\0", "utf-32le", "😀"),
            (b"Gr\x81\xe1e", "cp437", "Grüße"),
            (b"za\xbe\xa2\x88\x86", "ibm852", "zażółć"),
            (b"na\xefve", "iso-8859-1*fr", "naïve"),
        ] {
            assert_eq!(decoded(octets, label), text, "{label}");
        }
        assert_eq!((CP437.chars().count(), CP852.chars().count()), (128, 128));
    }

    #[test]
    fn no_text_has_a_nul() {
        for label in ["", "utf-8", "utf-16", "utf-32", "cp437", "iso-8859-2"] {
            assert!(!decoded(b"a\0b\0\0\0", label).contains('\0'), "{label}");
        }
    }
}
