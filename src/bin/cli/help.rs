//! How `-h` and `--help` look: examples, exit codes, and which of the common options a verb shows.
//!
//! `-h` is short: one line for each option, and the common options of a verb by name only. `--help` explains all of them.
//! An option that a verb does not show is still accepted there.

use std::fmt::Write as _;

use clap::builder::styling::Style;
use clap::builder::{StyledStr, Styles};
use clap::{Arg, Command};

/// The heading of the options that both programs and most verbs have.
pub(crate) const COMMON: &str = "Common options";

/// Columns: text is no wider, and as wide where no terminal says how wide it is.
const WIDTH: usize = 80;
const BOLD: Style = Style::new().bold();
/// Without colours.
const STYLES: Styles = Styles::plain().header(BOLD).usage(BOLD).literal(BOLD).error(BOLD);

/// An exit code and its meaning.
pub(crate) type ExitLine = (u8, &'static str);

/// What the help of a program or of one of its verbs adds to the options.
pub(crate) struct Page {
    /// The verb; empty for the program itself.
    pub(crate) verb: &'static str,
    /// Command lines, each with its purpose.
    pub(crate) examples: &'static [(&'static str, &'static str)],
    /// Paragraphs of `--help`, after the examples.
    pub(crate) notes: &'static str,
    /// The exit codes, smallest first.
    pub(crate) codes: &'static [ExitLine],
    /// Common options that `-h` explains too, by id.
    pub(crate) brief: &'static [&'static str],
    /// Common options that have no meaning here, by id.
    pub(crate) hidden: &'static [&'static str],
}

/// The command line of a program with all its help.
pub(crate) fn dressed<'p>(command: Command, pages: impl IntoIterator<Item = &'p Page>) -> Command {
    let common: Vec<Arg> = command.get_arguments().filter(|option| option.is_global_set()).cloned().collect();
    let command = command.max_term_width(WIDTH).styles(STYLES);
    pages.into_iter().fold(command, |command, page| match page.verb {
        "" => {
            let command = command.mut_args(|option| if option.is_global_set() { page.fit(option) } else { option });
            page.close(command)
        }
        // A copy for each verb: clap shows a global option the same way everywhere.
        verb => command.mut_subcommand(verb, |verb| {
            page.close(common.iter().fold(verb, |verb, option| verb.arg(page.fit(option.clone()))))
        }),
    })
}

impl Page {
    /// A common option as it is shown here.
    fn fit(&self, option: Arg) -> Arg {
        let [is_brief, is_hidden] = [self.brief, self.hidden].map(|ids| ids.contains(&option.get_id().as_str()));
        option.hide_short_help(!is_brief).hide(is_hidden)
    }

    fn close(&self, command: Command) -> Command {
        let examples = self.examples();
        let more: Vec<String> = command.get_arguments().filter(|option| is_only_in_long(option)).map(name).collect();
        let mut short = examples.clone();
        if !more.is_empty() {
            let _ = write!(short, "\n\nMore options, with --help: {}", more.join(", "));
        }
        let mut long = examples;
        if !self.notes.is_empty() {
            let _ = write!(long, "\n\n{}", self.notes);
        }
        let _ = write!(long, "\n\n{BOLD}Exit codes:{BOLD:#}");
        for (code, meaning) in self.codes {
            let _ = write!(long, "\n  {code:2}  {meaning}");
        }
        command.after_help(StyledStr::from(short)).after_long_help(StyledStr::from(long))
    }

    fn examples(&self) -> String {
        let width = self.examples.iter().map(|(line, _)| line.len()).max().unwrap_or(0);
        let mut text = format!("{BOLD}Examples:{BOLD:#}");
        for (line, purpose) in self.examples {
            let _ = write!(text, "\n  {line:width$}  # {purpose}");
        }
        text
    }
}

fn is_only_in_long(option: &Arg) -> bool {
    option.is_hide_short_help_set() && !option.is_hide_set()
}

fn name(option: &Arg) -> String {
    let long = option.get_long().map(|long| format!("--{long}"));
    long.or_else(|| option.get_short().map(|short| format!("-{short}"))).unwrap_or_default()
}

/// Each verb has two or three examples, and each of them is a command line that can be parsed.
#[cfg(test)]
pub(crate) fn check_examples(program: &str, command: impl Fn() -> Command, pages: &[Page]) {
    let verbs: Vec<String> = command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    for verb in verbs.iter().map(String::as_str).chain([""]) {
        let page = pages.iter().find(|page| page.verb == verb).unwrap_or_else(|| panic!("no page for {verb:?}"));
        assert!((2..=3).contains(&page.examples.len()), "{verb}: {} examples", page.examples.len());
        assert!(page.examples().lines().all(|line| line.len() <= WIDTH), "an example of {verb:?} is wrapped");
        for (line, _) in page.examples {
            let start = format!("{program} {verb}");
            assert!(line == &start.trim_end() || line.starts_with(&start), "{line} is no example of {verb:?}");
            parses(&command(), line);
        }
    }
}

/// A command line, up to a pipe or a redirection, can be parsed.
#[cfg(test)]
pub(crate) fn parses(command: &Command, line: &str) {
    let own = line.split(['|', '<']).next().unwrap_or_default();
    command.clone().try_get_matches_from(words(own)).unwrap_or_else(|error| panic!("{line}: {error}"));
}

/// As a shell would split what examples contain.
#[cfg(test)]
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for character in line.trim().chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}
