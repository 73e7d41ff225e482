//! Comparing what is with what should be.

use std::fmt::Debug;

use serde_json::Value;

/// What was compared, and what differs.
#[derive(Debug, Default)]
pub(super) struct Checks {
    count: usize,
    differences: Vec<String>,
}

impl Checks {
    /// Both should be the same.
    pub(super) fn same<T: PartialEq<U> + Debug, U: Debug>(&mut self, what: &str, seen: T, expected: U) {
        self.count += 1;
        if seen != expected {
            self.differences.push(format!("{what}: {seen:?} instead of {expected:?}"));
        }
    }

    /// An answer should say this.
    pub(super) fn says(&mut self, what: &str, seen: &Value, expected: impl Into<Value>) {
        self.count += 1;
        let expected = expected.into();
        if *seen != expected {
            self.differences.push(format!("{what}: {seen} instead of {expected}"));
        }
    }

    /// This should be so.
    pub(super) fn holds(&mut self, what: &str, holds: bool) {
        self.count += 1;
        if !holds {
            self.differences.push(format!("not so: {what}"));
        }
    }

    /// How many comparisons were made.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What differs, in words.
    pub(super) fn differences(&self) -> &[String] {
        &self.differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named_with_both_sides() {
        let mut checks = Checks::default();
        checks.says("the status", &Value::from("failed"), "completed");
        checks.says("the number", &Value::from(1), 1);
        checks.same("the outcome", Some(1), None);
        checks.holds("nothing was sent", false);
        assert_eq!(checks.count(), 4);
        assert_eq!(
            checks.differences(),
            [
                "the status: \"failed\" instead of \"completed\"",
                "the outcome: Some(1) instead of None",
                "not so: nothing was sent"
            ]
        );
    }
}
