//! Which file takes something from which other file, found from the code.
//!
//! A path is followed to the file that defines what it names: through `crate`, `super` and `self`, through modules, and
//! through re-exports. So neither `mod` nor `pub use` alone is an import, but what is used by way of them is.

use std::collections::{BTreeMap, BTreeSet};

use crate::Source;
use crate::tokens::{Token, tokens};

/// The files of the crate, by their paths, each with those that it takes something from.
pub(crate) type Imports = BTreeMap<String, BTreeSet<String>>;

/// A module by its place below `src/`: `["queue", "plan", "ledger"]`. That of the library is empty, that of the programs is
/// `["bin"]`.
type Module = Vec<String>;

/// What the code of a file says.
struct File {
    path: String,
    module: Module,
    tokens: Vec<Token>,
    /// Names that `use` or `#[path]` brings into the module, and what they stand for.
    names: BTreeMap<String, Vec<String>>,
    /// Modules all of whose names are brought in.
    globs: Vec<Vec<String>>,
    /// Names that are only passed on to others, unless the file uses them too.
    passed_on: BTreeSet<String>,
}

/// Finds the imports of all files.
pub(crate) fn imports(sources: &[Source]) -> Imports {
    let house = House { files: sources.iter().map(File::read).collect() };
    let of = |file: &File| {
        let taken = file.paths().into_iter().filter_map(|path| house.defining(&file.module, &path, file));
        (file.path.clone(), taken.filter(|other| *other != file.path).collect())
    };
    house.files.iter().map(of).collect()
}

/// The circles: groups of files of which each reaches each other.
pub(crate) fn circles(imports: &Imports) -> Vec<BTreeSet<String>> {
    let reached = |from: &String| {
        let mut reached: BTreeSet<&String> = BTreeSet::new();
        let mut left: Vec<&String> = imports[from].iter().collect();
        while let Some(file) = left.pop() {
            if reached.insert(file) {
                left.extend(imports.get(file).into_iter().flatten());
            }
        }
        reached
    };
    let reach: BTreeMap<&String, BTreeSet<&String>> = imports.keys().map(|file| (file, reached(file))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for (file, reached) in &reach {
        let back = |other: &&&String| reach.get(**other).is_some_and(|theirs| theirs.contains(*file));
        let circle: BTreeSet<String> = reached.iter().filter(back).map(|other| (*other).clone()).collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

struct House {
    files: Vec<File>,
}

impl House {
    /// The file that defines what a path means within a module; `None` for what is not ours.
    fn defining(&self, module: &Module, path: &[String], from: &File) -> Option<String> {
        self.follow(module, path, Some(from), 0).map(|file| file.path.clone())
    }

    fn follow<'h>(&'h self, module: &Module, path: &[String], from: Option<&'h File>, depth: u32) -> Option<&'h File> {
        // Two globs may lead to each other.
        if depth > 12 {
            return None;
        }
        let first = path.first()?;
        let mut at = module.clone();
        let mut rest = path;
        match first.as_str() {
            "crate" => {
                at.truncate(usize::from(module.first().is_some_and(|root| root == "bin")));
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            // Relative: only what is in this module, or was brought in.
            _ => {
                let here = self.file(&at, from);
                let child = [&at[..], std::slice::from_ref(first)].concat();
                let known = here.is_some_and(|file| file.names.contains_key(first)) || self.is_module(&child);
                if !known {
                    return None;
                }
            }
        }
        for (place, segment) in rest.iter().enumerate() {
            let child = [&at[..], std::slice::from_ref(segment)].concat();
            let here = self.file(&at, from);
            if let Some(target) = here.and_then(|file| file.names.get(segment)) {
                let onward = [&target[..], &rest[place + 1..]].concat();
                // A name that stands for a module of the same name.
                if !(target.len() == 1 && target[0] == *segment) {
                    return self.follow(&at, &onward, from, depth + 1);
                }
            }
            if self.is_module(&child) {
                at = child;
                continue;
            }
            let globs = here.map(|file| file.globs.as_slice()).unwrap_or_default();
            let passed = globs.iter().find_map(|glob| {
                let onward = [&glob[..], &rest[place..]].concat();
                self.follow(&at, &onward, from, depth + 1).filter(|file| file.defines(segment))
            });
            return passed.or_else(|| self.root_that_defines(&at, segment)).or(here);
        }
        // A module as such: what is used of it counts.
        None
    }

    /// Whether a module has this place, or one below it.
    fn is_module(&self, place: &[String]) -> bool {
        self.files.iter().any(|file| file.module.starts_with(place))
    }

    /// The file of a module. The two programs are one module, so that a file is preferred to its namesake.
    fn file<'h>(&'h self, module: &[String], from: Option<&'h File>) -> Option<&'h File> {
        from.filter(|file| file.module == module).or_else(|| self.files.iter().find(|file| file.module == module))
    }

    /// Of the programs: the one whose root has this item.
    fn root_that_defines(&self, module: &[String], item: &str) -> Option<&File> {
        let is_root = |file: &&File| module == ["bin"] && file.module == ["bin"];
        self.files.iter().filter(is_root).find(|file| file.defines(item))
    }
}

impl File {
    fn read(source: &Source) -> Self {
        let below = source.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Module = below.split('/').map(str::to_owned).collect();
        let is_root = below == "lib" || module.len() == 2 && module[0] == "bin";
        if is_root || module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let mut file = Self {
            path: source.path.clone(),
            module,
            tokens: tokens(&source.text),
            names: BTreeMap::new(),
            globs: Vec::new(),
            passed_on: BTreeSet::new(),
        };
        file.bring_in();
        file
    }

    /// Whether the file defines an item of this name.
    fn defines(&self, name: &str) -> bool {
        let kinds = ["struct", "enum", "trait", "fn", "const", "static", "type", "macro_rules"];
        self.tokens.windows(2).any(|pair| pair[1].is(name) && kinds.iter().any(|kind| pair[0].is(kind)))
    }

    /// Reads what `use` and `#[path]` bring in, and takes it out of the tokens.
    fn bring_in(&mut self) {
        let tokens = std::mem::take(&mut self.tokens);
        let mut at = 0;
        while at < tokens.len() {
            if let [
                Token::Word(path),
                Token::Sign('='),
                Token::Text(file),
                Token::Sign(']'),
                Token::Word(keyword),
                Token::Word(name),
                ..,
            ] = &tokens[at..]
                && path == "path"
                && keyword == "mod"
            {
                let parts = file.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned);
                let target = std::iter::once("crate".to_owned()).chain(parts).collect();
                self.names.insert(name.clone(), target);
                at += 6;
            } else if tokens[at].is("use") {
                let passes_on = matches!(self.tokens.last(), Some(Token::Sign(')')))
                    || self.tokens.last().is_some_and(|before| before.is("pub"));
                at = self.bring_in_tree(&tokens, at + 1, &mut Vec::new(), passes_on);
            } else {
                self.tokens.push(tokens[at].clone());
                at += 1;
            }
        }
    }

    /// Reads one tree of a `use`, and returns where it ends.
    fn bring_in_tree(&mut self, tokens: &[Token], mut at: usize, before: &mut Vec<String>, passes_on: bool) -> usize {
        let depth = before.len();
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                Token::Word(word) if word == "as" => {
                    if let Some(Token::Word(alias)) = tokens.get(at) {
                        self.bring_in_name(alias, before.clone(), passes_on);
                        before.truncate(depth);
                        at += 1;
                    }
                }
                Token::Word(word) => before.push(word.clone()),
                Token::Sign('*') => {
                    self.globs.push(before.clone());
                    before.truncate(depth);
                }
                Token::Sign('{') => {
                    let mut inner = before.clone();
                    at = self.bring_in_tree(tokens, at, &mut inner, passes_on);
                    before.truncate(depth);
                }
                Token::Sign(end @ (',' | '}' | ';')) => {
                    if before.len() > depth {
                        let path = before.clone();
                        let whole = if path.last().is_some_and(|last| last == "self") { &path[..depth] } else { &path };
                        if let Some(name) = whole.last() {
                            self.bring_in_name(name, whole.to_vec(), passes_on);
                        }
                        before.truncate(depth);
                    }
                    if *end != ',' {
                        break;
                    }
                }
                _ => {}
            }
        }
        at
    }

    fn bring_in_name(&mut self, name: &str, path: Vec<String>, passes_on: bool) {
        self.names.insert(name.to_owned(), path);
        if passes_on {
            self.passed_on.insert(name.to_owned());
        }
    }

    /// All paths in the code, with those that were brought in for its own use.
    fn paths(&self) -> Vec<Vec<String>> {
        let is_used = |name: &String| !self.passed_on.contains(name) || self.tokens.iter().any(|token| token.is(name));
        let mut paths: Vec<_> =
            self.names.iter().filter(|(name, _)| is_used(name)).map(|(_, path)| path.clone()).collect();
        paths.extend(self.globs.iter().map(|glob| [&glob[..], &["*".to_owned()]].concat()));
        let mut at = 0;
        while at < self.tokens.len() {
            let mut path = Vec::new();
            while let Some(Token::Word(word)) = self.tokens.get(at) {
                path.push(word.clone());
                at += 1;
                if self.tokens.get(at) != Some(&Token::Path) {
                    break;
                }
                at += 1;
            }
            if path.len() > 1 {
                paths.push(path);
            } else if path.is_empty() {
                at += 1;
            }
        }
        paths
    }
}

#[cfg(test)]
fn found(files: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
    let source = |(path, text): &(&str, &str)| Source { path: (*path).into(), text: (*text).into() };
    let imports = imports(&files.iter().map(source).collect::<Vec<_>>());
    let taken = imports.into_iter().filter(|(_, taken)| !taken.is_empty());
    taken.map(|(file, taken)| (file, taken.into_iter().collect())).collect()
}

#[test]
fn a_path_is_followed_to_the_file_that_defines_what_it_names() {
    let files = [
        ("src/lib.rs", "pub mod a; pub mod b;"),
        ("src/a/mod.rs", "mod c; pub mod d; pub use c::{C, Other as D}; pub struct A;"),
        ("src/a/c.rs", "use super::d; use super::A; pub struct C; fn f() { d::g() }"),
        ("src/a/d.rs", "pub fn g() {}"),
        ("src/b.rs", "use crate::a::{self, D}; fn h() -> a::C { crate::a::d::g() }"),
    ];
    let expected = [("src/a/c.rs", vec!["src/a/d.rs", "src/a/mod.rs"]), ("src/b.rs", vec!["src/a/c.rs", "src/a/d.rs"])];
    let expected = expected.map(|(file, taken)| (file.to_owned(), taken.into_iter().map(str::to_owned).collect()));
    assert_eq!(found(&files), expected);
}

#[test]
fn what_a_module_passes_on_is_no_import_unless_it_uses_it() {
    let passed =
        [("src/a/mod.rs", "mod b; pub use b::B; pub struct A;"), ("src/a/b.rs", "use super::A; pub struct B;")];
    assert_eq!(found(&passed), [("src/a/b.rs".to_owned(), vec!["src/a/mod.rs".to_owned()])]);
    let used = [("src/a/mod.rs", "mod b; pub use b::B; pub struct A(B);"), passed[1]];
    assert_eq!(found(&used).len(), 2);
    let source = |(path, text): &(&str, &str)| Source { path: (*path).into(), text: (*text).into() };
    let circle = circles(&imports(&used.iter().map(source).collect::<Vec<_>>()));
    assert_eq!(circle, [BTreeSet::from(["src/a/b.rs".to_owned(), "src/a/mod.rs".to_owned()])]);
}

#[test]
fn programs_are_a_crate_of_their_own() {
    let files = [
        ("src/lib.rs", "pub mod cli;"),
        ("src/cli.rs", "pub struct C;"),
        (
            "src/bin/one.rs",
            "#[path = \"tools/list.rs\"] mod list; mod cli; fn main() { list::list(); cli::run() } struct Own;",
        ),
        ("src/bin/two.rs", "mod cli; fn main() { cli::run() }"),
        ("src/bin/cli/mod.rs", "use crate::Own; pub fn run() {}"),
        ("src/bin/tools/list.rs", "pub fn list() {}"),
    ];
    let expected = [
        ("src/bin/cli/mod.rs", vec!["src/bin/one.rs"]),
        ("src/bin/one.rs", vec!["src/bin/cli/mod.rs", "src/bin/tools/list.rs"]),
        ("src/bin/two.rs", vec!["src/bin/cli/mod.rs"]),
    ];
    let expected = expected.map(|(file, taken)| (file.to_owned(), taken.into_iter().map(str::to_owned).collect()));
    assert_eq!(found(&files), expected);
}
