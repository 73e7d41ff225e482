//! What commands print. Data goes to standard output, everything else to standard error; colour only where a person looks.

use std::io::{self, Write as _};

pub(crate) use fanfold_core::story::{Tone, printable};

use serde::Serialize;
use serde_json::value::RawValue;

/// In which form data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people. Not to be read by programs: it may change with any version.
    #[default]
    Table,
    /// For programs: what the server answers, as JSON.
    Json,
}

/// Whether a stream shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint {
    is_coloured: bool,
}

/// Rows in columns that are as wide as they need to be.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Paint {
    /// With colours.
    pub(crate) const COLOURED: Self = Self { is_coloured: true };
    /// Without.
    pub(crate) const PLAIN: Self = Self { is_coloured: false };

    /// For standard output.
    pub(crate) fn stdout() -> Self {
        Self::on(&io::stdout())
    }

    /// For standard error.
    pub(crate) fn stderr() -> Self {
        Self::on(&io::stderr())
    }

    fn on(stream: &impl io::IsTerminal) -> Self {
        if stream.is_terminal() && wants_colour() { Self::COLOURED } else { Self::PLAIN }
    }

    /// Whether it does.
    pub(crate) fn is_coloured(self) -> bool {
        self.is_coloured
    }

    /// The text in the colour of its tone.
    pub(crate) fn apply(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Doubtful => "33",
            Tone::Busy => "36",
            Tone::Plain => return text.to_owned(),
        };
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The convention of <https://no-color.org>: any value but the empty one asks for none.
fn wants_colour() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| Cell::plain(*heading)).collect()] }
    }

    /// A table without headings.
    pub(crate) fn bare() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines, without spaces at their ends.
    pub(crate) fn lines(&self, paint: Paint) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| self.rows.iter().filter_map(|row: &Vec<Cell>| row.get(column)).map(Cell::width).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        self.rows.iter().map(|row| line(row, &widths, paint)).collect()
    }

    /// Prints it to standard output.
    pub(crate) fn print(&self) -> io::Result<()> {
        self.lines(Paint::stdout()).iter().try_for_each(|line| print_line(line))
    }
}

fn line(row: &[Cell], widths: &[usize], paint: Paint) -> String {
    let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
    let mut line = String::new();
    for (index, (cell, width)) in row.iter().zip(widths).enumerate().take(last + 1) {
        line.push_str(&paint.apply(cell.tone, &cell.text));
        if index < last {
            line.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
        }
    }
    line
}

impl Cell {
    /// Without a colour.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::toned(Tone::Plain, text)
    }

    /// In the colour of its tone.
    pub(crate) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: printable(&text.into()), tone }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// The text without anything that a terminal would obey, but with its line breaks and tabs.
pub(crate) fn printable_text(text: &str) -> String {
    let harmless = |letter: char| !letter.is_control() || letter == '\n' || letter == '\t';
    text.chars().map(|letter| if harmless(letter) { letter } else { ' ' }).collect()
}

/// Prints a line to standard output.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// JSON as one line: the text has line breaks only between its parts, where they mean nothing.
pub(crate) fn one_line(json: &RawValue) -> String {
    json.get().replace(['\r', '\n'], " ")
}

/// Prints octets to standard output, with a line break at their end.
pub(crate) fn print_octets(octets: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(octets)?;
    if !octets.ends_with(b"\n") {
        stdout.write_all(b"\n")?;
    }
    stdout.flush()
}

/// Says something to the person beside the data. That nobody can hear it is no reason to fail.
pub(crate) fn say(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// The word that stands for a value in JSON: for enums whose variants are words.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed_and_colour_does_not_count() {
        let mut table = Table::new(&["ID", "STATUS", "NOTE"]);
        table.row([Cell::plain("1"), Cell::toned(Tone::Good, "completed"), Cell::plain("")]);
        table.row([Cell::plain("22"), Cell::toned(Tone::Bad, "failed"), Cell::plain("x")]);
        assert_eq!(table.lines(Paint::PLAIN), ["ID  STATUS     NOTE", "1   completed", "22  failed     x"]);
        assert_eq!(table.lines(Paint::COLOURED)[2], "22  \x1b[31mfailed\x1b[0m     x");
    }

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        let mut table = Table::bare();
        table.row([Cell::plain("a\x1b[2Jb\nc")]);
        assert_eq!(table.lines(Paint::PLAIN), ["a [2Jb c"]);
        assert_eq!(printable_text("a\n\x07b"), "a\n b");
    }
}
