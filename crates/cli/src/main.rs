//! The `fanfold` program: a server that turns HTTP change requests into durable operations, and the commands around it.

mod assemble;
mod client;
mod commands;
mod config;
mod demo;
#[cfg(feature = "otlp")]
mod described;
mod exit;
mod failure;
mod opened;
#[cfg(not(feature = "otlp"))]
#[path = "no_otlp.rs"]
mod otlp;
#[cfg(feature = "otlp")]
mod otlp;
mod output;
mod process;
#[cfg(test)]
mod reference;
mod story;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}
