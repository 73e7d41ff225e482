//! Logs: where they go, how they look, and how many of them. Everything is written to standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::output::Paint;

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Human,
    /// One JSON object on each line.
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

    /// human for people, or json: one object on each line
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
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match options.format {
        LogFormat::Human if io::stderr().is_terminal() => builder.with_ansi(Paint::stderr().is_coloured()).init(),
        LogFormat::Human => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}

fn check_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_does_not_exist_is_refused() {
        assert!(check_filter("info,fanfold_engine=debug").is_ok());
        assert!(check_filter("fanfold_engine=loud").is_err());
    }
}
