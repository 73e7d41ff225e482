//! Reading what strace wrote (`-f -xx`): one call of the system after the other, each with the lines at which it began and
//! returned, so that what several threads do at once can be told apart.

use std::collections::HashMap;

/// The calls that are asked for: everything that changes files or sends something.
pub(super) const CALLS: &str = "openat,close,write,pwrite64,writev,pwritev,sendto,sendmsg,fsync,fdatasync,\
                                ftruncate,fallocate,lseek,rename,renameat,renameat2,unlink,unlinkat";

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The line at which it began.
    pub(super) entered: usize,
    /// The line at which it returned.
    pub(super) returned: usize,
    pub(super) name: String,
    /// Its arguments as strace prints them.
    pub(super) arguments: String,
    pub(super) result: i64,
}

/// Reads a whole trace. Calls that failed are left out, and so are those that never returned: the traced program ends by
/// itself, and nothing is judged of its last moment.
pub(super) fn read(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, (usize, String, String)> = HashMap::new();
    for (line, content) in text.lines().enumerate() {
        let Some((process, rest)) = content.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((_, rest)) = resumed.split_once(" resumed>") else { continue };
            let Some((entered, name, begun)) = unfinished.remove(process) else { continue };
            if let Some((arguments, result)) = ending(&format!("{begun}{rest}")) {
                calls.push(Call { entered, returned: line, name, arguments, result });
            }
        } else if let Some((name, rest)) = rest.split_once('(') {
            if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
                unfinished.insert(process, (line, name.to_owned(), begun.trim_end().to_owned()));
            } else if let Some((arguments, result)) = ending(rest) {
                calls.push(Call { entered: line, returned: line, name: name.to_owned(), arguments, result });
            }
        }
    }
    calls.retain(|call| call.result >= 0);
    calls.sort_by_key(|call| call.entered);
    calls
}

/// `3, "\x61", 1)    = 1` -> the arguments and the result.
fn ending(text: &str) -> Option<(String, i64)> {
    let (arguments, result) = text.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let result = result.split_whitespace().next()?.parse().ok()?;
    Some((arguments.to_owned(), result))
}

impl Call {
    /// The number that stands at this place among the arguments; the texts between them do not count as several.
    pub(super) fn number(&self, place: usize) -> Option<u64> {
        self.plain().split(',').nth(place)?.trim().parse().ok()
    }

    /// The last number among the arguments.
    pub(super) fn last_number(&self) -> Option<u64> {
        self.arguments.rsplit(',').next()?.trim().parse().ok()
    }

    /// All texts among the arguments, one after the other.
    pub(super) fn octets(&self) -> Vec<u8> {
        self.texts().flat_map(unescape).collect()
    }

    /// The text at this place among the texts.
    pub(super) fn text(&self, place: usize) -> Option<String> {
        self.texts().nth(place).map(|text| String::from_utf8_lossy(&unescape(text)).into_owned())
    }

    /// What stands in quotation marks. Everything in them is escaped, so that no mark stands inside.
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.arguments.split('"').skip(1).step_by(2)
    }

    fn plain(&self) -> String {
        self.arguments.split('"').step_by(2).collect()
    }
}

fn unescape(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).filter_map(|hex| u8::from_str_radix(hex, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_threads_are_put_together_again() {
        let text = "7 openat(AT_FDCWD, \"\\x2f\\x61\", O_RDWR|O_CREAT, 0600) = 3\n\
                    7 pwrite64(3, \"\\x61\\x62\", 2, 4096 <unfinished ...>\n\
                    8 fsync(4 <unfinished ...>\n\
                    7 <... pwrite64 resumed>)           = 2\n\
                    8 <... fsync resumed>)              = 0\n\
                    7 unlink(\"\\x2f\\x62\") = -1 ENOENT (No such file or directory)\n\
                    7 +++ exited with 0 +++\n";
        let calls = read(text);
        let told: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.entered, call.returned)).collect();
        assert_eq!(told, [("openat", 0, 0), ("pwrite64", 1, 3), ("fsync", 2, 4)]);
        assert_eq!(calls[0].text(0).as_deref(), Some("/a"));
        assert_eq!(
            (calls[1].octets(), calls[1].number(0), calls[1].last_number()),
            (b"ab".to_vec(), Some(3), Some(4096))
        );
    }

    #[test]
    fn a_vector_of_pieces_is_one_text() {
        let call =
            &read("7 writev(9, [{iov_base=\"\\x61\", iov_len=1}, {iov_base=\"\\x62\\x63\", iov_len=2}], 2) = 3")[0];
        assert_eq!(call.octets(), b"abc");
        assert_eq!(call.number(0), Some(9));
    }
}
