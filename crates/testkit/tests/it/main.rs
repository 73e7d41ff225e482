//! The testkit's own tests: a tool that errs would hide the errors of others.

mod fake;
mod postgres;
mod process;
mod proxy;
