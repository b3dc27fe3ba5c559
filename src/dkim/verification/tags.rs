//! Lists of tags (RFC 6376 3.2): `name=value; ...`, in the field of a signature and in the record of a key.

/// A list of tags.
pub(super) struct TagList<'a>(Vec<(&'a str, &'a str)>);

impl<'a> TagList<'a> {
    /// Reads a list; `None` where it is none, or has a tag twice.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut tags: Vec<(&str, &str)> = Vec::new();
        let mut rest = text.trim_end().strip_suffix(';').unwrap_or(text).split(';').peekable();
        while let Some(tag) = rest.next() {
            if tags.is_empty() && rest.peek().is_none() && tag.trim().is_empty() {
                break;
            }
            let (name, value) = tag.split_once('=')?;
            let name = name.trim();
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
            if !is_name || tags.iter().any(|(known, _)| *known == name) || tags.len() == MOST {
                return None;
            }
            tags.push((name, value.trim()));
        }
        Some(Self(tags))
    }

    /// The value of a tag.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The name of the first tag.
    pub(super) fn first(&self) -> Option<&'a str> {
        self.0.first().map(|(name, _)| *name)
    }
}

/// The most tags of a list.
const MOST: usize = 50;

/// Base64 with blanks in it.
pub(super) fn base64(value: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let compact: String = value.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    GeneralPurpose::new(&STANDARD, lenient).decode(compact).ok()
}
