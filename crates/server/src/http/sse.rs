//! The format of event streams (`text/event-stream`, HTML standard, section 9.2).

use std::fmt::Write as _;

/// The media type.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// The text of a stream, block by block. A block ends with an empty line.
#[derive(Debug, Default)]
pub(super) struct Blocks(String);

impl Blocks {
    /// Says from where the client goes on when it comes again, and after which pause. No event of its own.
    pub(super) fn begin(&mut self, retry_ms: u128, id: u64) {
        self.field("retry", retry_ms);
        self.field("id", id);
        self.end();
    }

    /// An event; without a number the client goes on after the last one that had one.
    pub(super) fn event(&mut self, id: Option<u64>, name: &str, data: &str) {
        if let Some(id) = id {
            self.field("id", id);
        }
        self.field("event", name);
        // Each line break of the data, of whatever kind, begins another line of it: a lone CR would end the field too.
        for line in lines(data) {
            self.field("data", line);
        }
        self.end();
    }

    /// Says that the stream is still there, and how far it is.
    pub(super) fn heartbeat(&mut self, id: u64) {
        self.0.push_str(":\n");
        self.field("id", id);
        self.end();
    }

    /// The text so far.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        writeln!(self.0, "{name}: {value}").expect("writing to a String cannot fail");
    }

    fn end(&mut self) {
        self.0.push('\n');
    }
}

/// The lines of a text that may end its lines with LF, CR, or both.
fn lines(text: &str) -> Vec<&str> {
    text.split("\r\n").flat_map(|part| part.split(['\r', '\n'])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Blocks)) -> String {
        let mut blocks = Blocks::default();
        write(&mut blocks);
        blocks.into_text()
    }

    #[test]
    fn every_line_break_of_the_data_begins_another_line() {
        let text = written(|blocks| blocks.event(Some(7), "x", "a\nb\rc\r\nd"));
        assert_eq!(text, "id: 7\nevent: x\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
        let text = written(|blocks| blocks.event(None, "end", "{}"));
        assert_eq!(text, "event: end\ndata: {}\n\n");
    }

    #[test]
    fn what_is_no_event_has_no_data() {
        assert_eq!(written(|blocks| blocks.begin(2000, 5)), "retry: 2000\nid: 5\n\n");
        assert_eq!(written(|blocks| blocks.heartbeat(5)), ":\nid: 5\n\n");
    }
}
