//! Lines over the last minutes, with axes, as vector graphics.
//!
//! Text stands at percentages, so that it keeps its size; the lines are drawn in a square of their own that is stretched.

use std::fmt::Write as _;

/// The width of the square.
const WIDTH: f64 = 1000.0;
/// Its height.
const HEIGHT: f64 = 100.0;

/// Lines on the vertical axis, beside the one at zero, at the most.
const TICKS_MAX: usize = 4;

/// A chart, ready to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    /// What it says, for those who do not see it.
    pub(super) summary: String,
    pub(super) lines: Vec<Line>,
    /// Where each line of the vertical axis is, in percent from the top, and what it says.
    pub(super) ticks: Vec<(String, String)>,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) name: &'static str,
    /// Its class in the style sheet, which gives colour and dashes.
    pub(super) class: &'static str,
    pub(super) points: String,
    pub(super) latest: String,
}

/// What a line is made of: its name, its class, its values.
pub(super) type Series = (&'static str, &'static str, Vec<f64>);

impl Chart {
    /// A chart of values of which there are `room` at the most, the latest at the right.
    pub(super) fn new(title: &'static str, unit: &'static str, room: usize, series: Vec<Series>) -> Self {
        let top = series.iter().flat_map(|(_, _, values)| values).fold(0.0_f64, |top, value| top.max(*value));
        let step = step(top);
        let top = (top / step).ceil().max(1.0) * step;
        let mut ticks = Vec::new();
        let mut value = 0.0;
        while value <= top + step / 2.0 {
            ticks.push((format!("{:.1}%", 100.0 - value / top * 100.0), figure(value)));
            value += step;
        }
        let latest = |values: &[f64]| figure(values.last().copied().unwrap_or(0.0));
        let told: Vec<String> = series.iter().map(|(name, _, values)| format!("{name} {}", latest(values))).collect();
        let lines = series.into_iter().map(|(name, class, values)| Line {
            name,
            class,
            points: points(&values, top, room),
            latest: latest(&values),
        });
        Self {
            title,
            unit,
            summary: format!("{title}, {unit}: now {}", told.join(", ")),
            lines: lines.collect(),
            ticks,
        }
    }
}

/// Between two lines of the axis: 1, 2 or 5 times a power of ten, so that there are few of them.
fn step(top: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let least = (top / TICKS_MAX as f64).max(0.25);
    let power = 10.0_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let found = steps.into_iter().find(|step| *step >= least * 0.999).unwrap_or(10.0 * power);
    // Nothing that is counted comes in parts.
    found.max(1.0)
}

/// A number as an axis has it.
fn figure(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{:.0}k", value / 1000.0)
    } else if value >= 10.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn points(values: &[f64], top: f64, room: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let (count, last) = (values.len() as f64, (room.max(2) - 1) as f64);
    let mut text = String::with_capacity(values.len() * 12);
    for (index, value) in values.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let behind = count - 1.0 - index as f64;
        let (x, y) = (WIDTH - behind / last * WIDTH, HEIGHT - value / top * HEIGHT);
        write!(text, "{x:.1},{y:.2} ").expect("writing to a String cannot fail");
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_few_round_numbers() {
        for (top, labels) in [
            (0.0, vec!["0", "1"]),
            (3.0, vec!["0", "1", "2", "3"]),
            (7.0, vec!["0", "2", "4", "6", "8"]),
            (480.0, vec!["0", "200", "400", "600"]),
            (31_000.0, vec!["0", "10k", "20k", "30k", "40k"]),
        ] {
            let chart = Chart::new("t", "u", 10, vec![("a", "a", vec![top])]);
            let found: Vec<_> = chart.ticks.iter().map(|(_, label)| label.as_str()).collect();
            assert_eq!(found, labels, "{top}");
        }
    }

    #[test]
    fn the_latest_value_is_at_the_right() {
        let chart = Chart::new("t", "u", 3, vec![("a", "a", vec![1.0, 0.0])]);
        assert_eq!(chart.lines[0].points, "500.0,0.00 1000.0,100.00");
        assert_eq!(chart.summary, "t, u: now a 0");
    }
}
