//! Logs: where they go, how they look, and how many of them. Everything is written to standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::output::Paint;

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Human,
    /// One JSON object for each event, on a line of its own.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LogOptions {
    /// error, warn, info, debug or trace, or levels by module as in "info,fanfold_engine=debug"
    #[arg(long = "log", global = true, env = "FANFOLD_LOG", hide_env_values = true, value_name = "LEVEL")]
    #[arg(default_value = "info", value_parser = check_filter)]
    filter: String,

    /// human for people, or json: one object on a line for each event that is logged
    #[arg(
        long = "log-format",
        global = true,
        env = "FANFOLD_LOG_FORMAT",
        hide_env_values = true,
        value_name = "FORMAT"
    )]
    #[arg(value_enum, default_value_t = LogFormat::default(), hide_possible_values = true)]
    format: LogFormat,
}

/// Starts logging. To be called once, first of all.
pub(crate) fn start(options: &LogOptions) {
    let filter = EnvFilter::new(&options.filter);
    // A line that cannot be written is lost; the server goes on. The library would panic over it.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_writer(|| Unfailing(io::stderr()));
    match options.format {
        LogFormat::Human if io::stderr().is_terminal() => builder.with_ansi(Paint::stderr().is_coloured()).init(),
        LogFormat::Human => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// Standard error, which may be a full disk or a pipe that nobody reads any more.
struct Unfailing(io::Stderr);

impl io::Write for Unfailing {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        Ok(self.0.write(octets).unwrap_or(octets.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        drop(self.0.flush());
        Ok(())
    }
}

fn check_filter(text: &str) -> Result<String, String> {
    // A word alone would be taken as the name of a module whose events are all logged.
    let alone = text.split(',').map(str::trim).filter(|part| !part.is_empty() && !part.contains(['=', '[', ':']));
    for part in alone {
        if part.parse::<LevelFilter>().is_err() {
            return Err(format!("{part:?} is no level: use error, warn, info, debug, trace or off, or MODULE=LEVEL"));
        }
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_does_not_exist_is_refused() {
        assert!(check_filter("info,fanfold_engine=debug").is_ok());
        assert!(check_filter("off").is_ok());
        assert!(check_filter("fanfold_engine=loud").is_err());
        assert!(check_filter("loud").unwrap_err().contains("no level"));
        assert!(check_filter("info,loud").is_err());
    }
}
