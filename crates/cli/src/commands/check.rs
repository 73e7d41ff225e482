//! `fanfold check`: everything that is wrong with a configuration file, at once.

use std::path::Path;

use serde::Serialize;

use super::ConfigOption;
use crate::config::{self, Finding, Mistake, Warning};
use crate::failure::Failure;
use crate::output::{Format, Paint, Tone, print_line, printable, say};

/// `fanfold check`
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    config: ConfigOption,

    /// How the findings are printed: a table for people, or json for programs
    #[arg(long, value_enum, default_value_t = Format::default(), value_name = "FORMAT", hide_possible_values = true)]
    output: Format,
}

pub(super) fn run(check: &Check) -> Result<(), Failure> {
    let file = check.config.path();
    let (mistakes, warnings) = match config::load(file) {
        Ok((_, warnings)) => (Vec::new(), warnings),
        Err(mistakes) => (mistakes, Vec::new()),
    };
    match check.output {
        Format::Json => print_line(&json(file, &mistakes, &warnings))?,
        Format::Table => {
            let paint = Paint::stdout();
            let mistakes = mistakes.iter().map(|mistake| paint.apply(Tone::Bad, &printable(&mistake.to_string())));
            let warnings = warnings.iter().map(|warning| paint.apply(Tone::Doubtful, &printable(&warning.to_string())));
            mistakes.chain(warnings).try_for_each(|line| print_line(&line))?;
        }
    }
    if !mistakes.is_empty() {
        return Err(Failure::Configuration { file: file.to_owned(), count: mistakes.len() });
    }
    let doubts = match warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        count => format!(", {count} warnings"),
    };
    say(&format!("{}: no mistakes{doubts}", file.display()));
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    mistakes: Vec<Entry<'a>>,
    warnings: Vec<Entry<'a>>,
}

/// Line and column count from 1, and are null where the finding has no place in the file.
#[derive(Serialize)]
struct Entry<'a> {
    file: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    message: &'a str,
    hint: Option<&'a str>,
}

impl<'a> From<&'a Finding> for Entry<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            file: &finding.file,
            line: finding.position.map(|position| position.line),
            column: finding.position.map(|position| position.column),
            message: &finding.message,
            hint: finding.hint.as_deref(),
        }
    }
}

fn json(file: &Path, mistakes: &[Mistake], warnings: &[Warning]) -> String {
    let report = Report {
        file: file.display().to_string(),
        mistakes: mistakes.iter().map(|mistake| Entry::from(&**mistake)).collect(),
        warnings: warnings.iter().map(|warning| Entry::from(&**warning)).collect(),
    };
    serde_json::to_string_pretty(&report).expect("texts and numbers can always be written as JSON")
}
