//! The page: tables and plots of all experiments, and where they are written.
//!
//! The tables go into docs/performance/notebook.md between two marks, and nothing else of that page is touched.

use std::fs;
use std::path::Path;

use crate::plot::Plot;
use crate::{Result, tell};

/// What one experiment showed.
#[derive(Debug)]
pub(crate) struct Part {
    /// The file of the plot, without its ending.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What was done, in a sentence or two.
    pub(crate) words: String,
    pub(crate) head: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) plot: Plot,
}

/// All of it.
pub(crate) struct Page {
    pub(crate) parts: Vec<Part>,
    pub(crate) minutes: f64,
    pub(crate) quick: bool,
}

const BEGIN: &str = "<!-- growth: made by cargo bench --bench growth -->";
const END: &str = "<!-- end of growth -->";

impl Part {
    /// Whether there is a table with as many columns in each row as it has heads, and a plot of it.
    pub(crate) fn check(&self) -> Result<()> {
        let whole = |row: &Vec<String>| row.len() == self.head.len() && row.iter().all(|cell| !cell.is_empty());
        let drawn = self.plot.lines.iter().any(|line| !line.points.is_empty());
        if self.rows.is_empty() || !self.rows.iter().all(whole) || !drawn {
            return Err(format!("{}: the table is not whole", self.name).into());
        }
        Ok(())
    }

    fn text(&self) -> String {
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let heads: Vec<String> = self.head.iter().map(|head| (*head).to_owned()).collect();
        let mut text = format!("### {}\n\n{}\n\n{}", self.title, self.words, row(&heads));
        text.push_str(&row(&vec!["---:".to_owned(); heads.len()]));
        self.rows.iter().for_each(|cells| text.push_str(&row(cells)));
        format!("{text}\n![{}]({}.svg)\n\n", self.plot.title, self.name)
    }
}

impl Page {
    /// The tables, as they are in the document.
    pub(crate) fn text(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let form = if self.quick { ", in its quick form" } else { "" };
        let parts: String = self.parts.iter().map(Part::text).collect();
        format!(
            "Made by `cargo bench --bench growth`{form} in {:.0} minutes, on {cores} cores that load generator, programs and next hop \
             share, and perhaps others.\n\n{parts}",
            self.minutes.ceil()
        )
    }

    /// Writes the plots to `performance/` in a folder, and the tables into the `notebook.md` beside them.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder.join("performance"))?;
        for part in &self.parts {
            fs::write(folder.join("performance").join(part.name).with_extension("svg"), part.plot.svg())?;
        }
        let page = folder.join("performance/notebook.md");
        let before = fs::read_to_string(&page).unwrap_or_else(|_| format!("{BEGIN}\n{END}\n"));
        let (head, rest) =
            before.split_once(BEGIN).ok_or("docs/performance/notebook.md has no place for the tables")?;
        let (_, tail) =
            rest.split_once(END).ok_or("the place for the tables in docs/performance/notebook.md has no end")?;
        fs::write(&page, format!("{head}{BEGIN}\n{}{END}{tail}", self.text()))?;
        tell(&format!("written: {}", page.display()));
        Ok(())
    }
}

/// A number for people: three digits that count, and commas.
pub(crate) fn figure(value: f64) -> String {
    if value < 10.0 && value.fract() > 0.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 && value.fract() > 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
