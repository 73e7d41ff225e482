//! Whether the octets of a connection say without doubt where each request ends.
//!
//! hyper reads requests as leniently as RFC 9112 allows: of `Content-Length` and `Transfer-Encoding` it takes the second, a
//! length that is given twice counts once, and a line may end without its CR. A proxy in front of us may read the same octets
//! otherwise, and then takes a part of one client's request for another request (request smuggling). So what comes is read
//! once more, strictly, beside hyper: [`Framing::take`] follows heads and bodies without keeping them, and
//! [`Framing::doubt`] tells the first request that is in doubt. That one is refused and its connection closed.
//!
//! What hyper refuses by itself is not told here again. Wherever both take a request, both see the same end of it.

#[cfg(feature = "hostile")]
pub(super) mod hostile;

use std::fmt;

/// How much of a line is kept: the fields that say where a request ends fit in, and no honest one is longer.
const LINE_BYTES_KEPT: usize = 256;

/// Why it is in doubt where a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It has both fields.
    TwoWays,
    /// Its length is given more than once.
    TwoLengths,
    /// Its coding is another than `chunked` alone.
    Coding,
    /// A line ends with LF alone.
    BareLf,
    /// The line of a field that says where it ends is absurdly long.
    LongLine,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TwoWays => "it has both `Content-Length` and `Transfer-Encoding`",
            Self::TwoLengths => "`Content-Length` is given more than once",
            Self::Coding => "its `Transfer-Encoding` is not `chunked` alone",
            Self::BareLf => "a line of its head ends with LF alone, and not with CR LF",
            Self::LongLine => "the line of its `Content-Length` or `Transfer-Encoding` is too long",
        })
    }
}

/// The end of a body may mean two things, so that nothing may be read from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line behind the last chunk ends with LF alone, and not with CR LF")]
pub(super) struct BrokenBody {
    /// How many of the octets stand before that.
    pub(super) usable: usize,
}

/// Follows the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    line: Line,
    fields: Fields,
    heads: u64,
    doubt: Option<(u64, Doubt)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// In the first line of a head. Empty lines before it have no meaning (RFC 9112, section 2.2).
    #[default]
    First,
    /// In the fields of a head.
    Fields,
    /// So many octets of a body are still to come.
    Body { left: u64 },
    /// In the digits of a chunk's size.
    Size { size: u64, has_digit: bool },
    /// Behind those digits.
    SizeRest { size: u64 },
    /// At the LF of that line.
    SizeLf { size: u64 },
    /// So many octets of a chunk are still to come.
    Chunk { left: u64 },
    /// At the line break behind a chunk.
    ChunkEnd { has_cr: bool },
    /// In the fields behind the last chunk.
    Trailer,
    /// A request is in doubt, or is one that hyper refuses: none follows.
    Over,
}

impl Framing {
    /// Reads on.
    ///
    /// # Errors
    /// If the end of a body is in doubt.
    pub(super) fn take(&mut self, octets: &[u8]) -> Result<(), BrokenBody> {
        let mut at = 0;
        while let Some(&octet) = octets.get(at) {
            at += match self.state {
                State::Over => return Ok(()),
                State::Body { left } => self.skip(left, octets.len() - at, State::First, |left| State::Body { left }),
                State::Chunk { left } => {
                    let end = State::ChunkEnd { has_cr: false };
                    self.skip(left, octets.len() - at, end, |left| State::Chunk { left })
                }
                State::First | State::Fields => {
                    self.head(octet);
                    1
                }
                State::Trailer => {
                    self.trailer(octet).map_err(|()| BrokenBody { usable: at })?;
                    1
                }
                State::Size { .. } | State::SizeRest { .. } | State::SizeLf { .. } | State::ChunkEnd { .. } => {
                    self.state = around_chunk(self.state, octet);
                    1
                }
            };
        }
        Ok(())
    }

    /// The first request that is in doubt, counted from 0, once its head has come. None that follows is looked at.
    pub(super) fn doubt(&self) -> Option<(u64, Doubt)> {
        self.doubt
    }

    /// How many heads have come to their end.
    #[cfg(test)]
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// Passes over octets whose values mean nothing; gives how many.
    fn skip(&mut self, left: u64, there: usize, end: State, more: impl Fn(u64) -> State) -> usize {
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        let left = left - skipped as u64;
        self.state = if left == 0 { end } else { more(left) };
        skipped
    }

    fn head(&mut self, octet: u8) {
        if octet != b'\n' {
            return self.line.push(octet);
        }
        if !self.line.has_cr() {
            self.fields.bare_lf = true;
        }
        match (self.state, self.line.is_empty()) {
            (State::First, true) => {}
            (State::First, false) => self.state = State::Fields,
            (_, false) => self.fields.read(&self.line),
            (_, true) => self.end_head(),
        }
        self.line = Line::default();
    }

    fn end_head(&mut self) {
        let fields = std::mem::take(&mut self.fields);
        let number = self.heads;
        self.heads += 1;
        if let Some(doubt) = fields.doubt() {
            self.doubt = Some((number, doubt));
            self.state = State::Over;
            return;
        }
        self.state = match (fields.codings, fields.lengths, fields.length) {
            (1.., _, _) => State::Size { size: 0, has_digit: false },
            (0, 0, _) | (0, 1.., Some(0)) => State::First,
            (0, 1.., Some(left)) => State::Body { left },
            (0, 1.., None) => State::Over,
        };
    }

    fn trailer(&mut self, octet: u8) -> Result<(), ()> {
        if octet != b'\n' {
            self.line.push(octet);
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        if !line.has_cr() {
            self.state = State::Over;
            return Err(());
        }
        if line.is_empty() {
            self.state = State::First;
        }
        Ok(())
    }
}

/// The state after an octet that stands around a chunk.
fn around_chunk(state: State, octet: u8) -> State {
    match (state, octet) {
        (State::Size { size, .. }, digit) if digit.is_ascii_hexdigit() => {
            let value = char::from(digit).to_digit(16).map_or(0, u64::from);
            let size = size.checked_mul(16).and_then(|size| size.checked_add(value));
            size.map_or(State::Over, |size| State::Size { size, has_digit: true })
        }
        (State::Size { size, has_digit: true } | State::SizeRest { size }, b'\r') => State::SizeLf { size },
        (State::Size { size, has_digit: true }, b' ' | b'\t' | b';') => State::SizeRest { size },
        (State::SizeRest { .. }, octet) if octet != b'\n' => state,
        (State::SizeLf { size: 0 }, b'\n') => State::Trailer,
        (State::SizeLf { size }, b'\n') => State::Chunk { left: size },
        (State::ChunkEnd { has_cr: false }, b'\r') => State::ChunkEnd { has_cr: true },
        (State::ChunkEnd { has_cr: true }, b'\n') => State::Size { size: 0, has_digit: false },
        _ => State::Over,
    }
}

/// The line that is being read, as far as it is kept, without its LF.
#[derive(Debug, Default)]
struct Line {
    kept: Vec<u8>,
    last: u8,
    length: u64,
}

impl Line {
    fn push(&mut self, octet: u8) {
        if self.kept.len() < LINE_BYTES_KEPT {
            self.kept.push(octet);
        }
        self.last = octet;
        self.length = self.length.saturating_add(1);
    }

    fn has_cr(&self) -> bool {
        self.last == b'\r'
    }

    fn is_empty(&self) -> bool {
        self.length == u64::from(self.has_cr())
    }

    fn is_cut(&self) -> bool {
        self.length > self.kept.len() as u64
    }

    /// Name and value of a field, without white space around the value.
    fn field(&self) -> Option<(&[u8], &[u8])> {
        let colon = self.kept.iter().position(|octet| *octet == b':')?;
        Some((&self.kept[..colon], self.kept[colon + 1..].trim_ascii()))
    }
}

/// What a head says of the end of its request.
#[derive(Debug, Default)]
struct Fields {
    lengths: usize,
    /// `None` for one that is no number: hyper refuses it.
    length: Option<u64>,
    codings: usize,
    is_chunked: bool,
    bare_lf: bool,
    long_line: bool,
}

impl Fields {
    fn read(&mut self, line: &Line) {
        let Some((name, value)) = line.field() else { return };
        if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths += 1;
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(value).ok().filter(|_| is_number);
            self.length = text.and_then(|text| text.parse().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings += 1;
            self.is_chunked = value.eq_ignore_ascii_case(b"chunked");
        } else {
            return;
        }
        self.long_line |= line.is_cut();
    }

    fn doubt(&self) -> Option<Doubt> {
        if self.bare_lf {
            Some(Doubt::BareLf)
        } else if self.long_line {
            Some(Doubt::LongLine)
        } else if self.lengths > 0 && self.codings > 0 {
            Some(Doubt::TwoWays)
        } else if self.lengths > 1 {
            Some(Doubt::TwoLengths)
        } else if self.codings > 1 || (self.codings == 1 && !self.is_chunked) {
            Some(Doubt::Coding)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heads and the doubt of these octets, however they are cut into pieces.
    fn read(text: &str) -> (u64, Option<(u64, Doubt)>, bool) {
        let of = |pieces: usize| {
            let mut framing = Framing::default();
            let is_broken = text.as_bytes().chunks(pieces).any(|piece| framing.take(piece).is_err());
            (framing.heads(), framing.doubt(), is_broken)
        };
        let whole = of(text.len());
        for pieces in [1, 2, 3, 7] {
            assert_eq!(of(pieces), whole, "{text:?} in pieces of {pieces}");
        }
        whole
    }

    #[test]
    fn requests_follow_each_other() {
        for text in [
            "GET /a HTTP/1.1\r\nhost: x\r\n\r\n",
            "\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length:  5 \r\n\r\n12\r\n5",
            "POST /c HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            "POST /d HTTP/1.1\r\nTRANSFER-ENCODING: Chunked\r\n\r\n3;x=\"y\"\r\nab\r\r\n0A \r\n0123456789\r\n0\r\nx: 1\r\ny: 2\r\n\r\n",
        ] {
            assert_eq!(read(&text.repeat(3)), (3, None, false), "{text}");
        }
    }

    #[test]
    fn the_first_request_in_doubt_is_told() {
        let good = "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
        for (fields, doubt) in [
            ("content-length: 2\r\ntransfer-encoding: chunked\r\n", Doubt::TwoWays),
            ("transfer-encoding: chunked\r\ncontent-length: x\r\n", Doubt::TwoWays),
            ("content-length: 2\r\nx: y\r\nContent-Length: 2\r\n", Doubt::TwoLengths),
            ("transfer-encoding: identity\r\n", Doubt::Coding),
            ("transfer-encoding: gzip, chunked\r\n", Doubt::Coding),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Doubt::Coding),
            ("transfer-encoding: xchunked\r\n", Doubt::Coding),
            ("transfer-encoding:\r\n", Doubt::Coding),
            ("host: x\n", Doubt::BareLf),
            ("content-length: 2\n", Doubt::BareLf),
        ] {
            let text = format!("{good}{good}POST / HTTP/1.1\r\n{fields}\r\n{good}");
            assert_eq!(read(&text), (3, Some((2, doubt)), false), "{fields}");
        }
        let long = format!("POST / HTTP/1.1\r\ncontent-length:{}2\r\n\r\n{good}", " ".repeat(LINE_BYTES_KEPT));
        assert_eq!(read(&long), (1, Some((0, Doubt::LongLine)), false));
        assert_eq!(read("\nGET / HTTP/1.1\r\n\r\n"), (1, Some((0, Doubt::BareLf)), false));
        assert_eq!(read("GET / HTTP/1.1\r\nhost: x\r\n\n"), (1, Some((0, Doubt::BareLf)), false));
    }

    #[test]
    fn what_hyper_refuses_is_not_followed() {
        let next = "GET / HTTP/1.1\r\n\r\n";
        for length in ["x", "+2", "-2", "", "2 2", "2,2", "18446744073709551616"] {
            let text = format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{next}");
            assert_eq!(read(&text), (1, None, false), "{length}");
        }
        for body in ["x\r\n", "\r\n", "-1\r\n", "0x1\r\n", "1\n", "10000000000000000\r\n", "1;x\n", "1\r\nab\r\n"] {
            let text = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}{next}");
            assert_eq!(read(&text), (1, None, false), "{body}");
        }
    }

    #[test]
    fn nothing_is_read_behind_a_trailer_that_may_be_another_request() {
        let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
        let text = format!("{head}\nGET /hidden HTTP/1.1\r\n\r\n");
        assert_eq!(read(&text), (1, None, true));
        let mut framing = Framing::default();
        assert_eq!(framing.take(text.as_bytes()), Err(BrokenBody { usable: head.len() }));
    }
}
