//! Phrases that make a reader stop, in pages, `--help` and comments: each has a plain word, which `CONTRIBUTING.md` names.

const FORBIDDEN: [&str; 18] = [
    "for good",
    "is told",
    "are told",
    "was told",
    "be told",
    "who comes",
    "so many",
    "another road",
    "mannerly",
    "stands",
    "it lies",
    "that lies",
    "put off",
    "a defect",
    "shelf",
    "mended",
    "anew",
    "wholly",
];

/// Those in a text. A line end is a space; one word stands for another in plain English too.
pub(crate) fn forbidden(text: &str) -> Vec<&'static str> {
    let punctuation = ['.', ',', ';', ':', '(', ')', '*'];
    let words: Vec<String> =
        text.to_lowercase().replace(punctuation, " ").split_whitespace().map(str::to_owned).collect();
    let words = format!(" {} ", words.join(" ")).replace(" stands for ", " means ");
    FORBIDDEN.into_iter().filter(|phrase| words.contains(&format!(" {phrase} "))).collect()
}
