//! Random histories. `FANFOLD_STEPS` and `FANFOLD_SEED` in the environment make them longer, or other ones.

use std::str::FromStr;

use fanfold_store::contract::random::{Plan, Subject, compare};

#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn from_environment<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Compares so many steps, unless the environment wants more.
#[expect(clippy::print_stdout, reason = "the figures of the comparison are its result")]
pub(crate) async fn compare_with_model(subject: &mut dyn Subject, steps: u32, picture_every: u32) {
    let (seed, steps) = (from_environment("FANFOLD_SEED", 7), from_environment("FANFOLD_STEPS", steps));
    println!("{}", compare(subject, Plan { seed, steps, picture_every }).await);
}
