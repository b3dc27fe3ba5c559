//! The few marks of man(7) that pages are written with. Whatever text holds, it is shown as it is: no line of it becomes a request.

use std::fmt::Write as _;

/// Text in a line of its own.
pub(crate) fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// A section.
pub(crate) fn heading(page: &mut String, title: &str) {
    let _ = writeln!(page, ".SH {title}");
}

/// Lines that are filled; without a word, nothing.
pub(crate) fn paragraph(page: &mut String, text: &str) {
    if !text.trim().is_empty() {
        part(page);
        text.lines().for_each(|line| _ = writeln!(page, "{}", escaped(line)));
    }
}

/// A new paragraph; the first after a heading is one anyway.
pub(crate) fn part(page: &mut String) {
    if !page.lines().last().is_some_and(|line| line.starts_with(".SH")) {
        page.push_str(".PP\n");
    }
}

/// A word, and below it what it means.
pub(crate) fn tagged(page: &mut String, tag: &str, text: &str) {
    let _ = writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(tag), escaped(text));
}

/// Paragraphs of an option's text, which are parted by empty lines, as man(7) parts them.
pub(super) fn without_blank_lines(page: &str) -> String {
    page.lines().map(|line| if line.trim().is_empty() { ".IP\n".to_owned() } else { format!("{line}\n") }).collect()
}
