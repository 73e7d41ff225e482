//! "Did you mean ...?": the known name that is nearest to one that is not known.

/// The candidate that is `name` with at most a few letters wrong, missing, superfluous or swapped; the nearest of several.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed || is_start(name, candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

/// `, did you mean ...?` as a hint for an unknown `name`.
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, candidates).map(|candidate| format!("did you mean \"{candidate}\"?"))
}

/// Whether one is the beginning of the other, as with `body` and `body_max`.
fn is_start(name: &str, candidate: &str) -> bool {
    let shorter = name.len().min(candidate.len());
    shorter >= 4 && (candidate.starts_with(name) || name.starts_with(candidate))
}

/// How many letters have to be put in, taken out, replaced or swapped with their neighbour to come from one to the other,
/// without regard to upper and lower case, `-` and `_`.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (plain(left), plain(right));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut best = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && *letter == right[column - 1] && left[row - 1] == *other {
                best = best.min(before[column - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[right.len()]
}

fn plain(text: &str) -> Vec<char> {
    text.chars().map(|letter| if letter == '-' { '_' } else { letter.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let keys = ["timeouts", "targets", "retry", "require", "response_body_max", "undo", "on"];
        for (wrong, right) in [
            ("timeout", Some("timeouts")),
            ("tagrets", Some("targets")),
            ("Retry", Some("retry")),
            ("response-body-max", Some("response_body_max")),
            ("response_body", Some("response_body_max")),
            ("udno", Some("undo")),
            ("colour", None),
        ] {
            assert_eq!(nearest(wrong, keys), right, "{wrong}");
        }
    }
}
