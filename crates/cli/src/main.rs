//! The `fanfold` program: a server that turns HTTP change requests into durable operations, and the commands around it.

mod assemble;
mod client;
mod commands;
mod config;
mod demo;
mod exit;
mod failure;
mod opened;
mod output;
mod story;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}
