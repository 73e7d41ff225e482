//! A disk that keeps what was synced, and of everything else what chance leaves.
//!
//! It is harsher than real file systems: the writes of a file reach it in any order, sector by sector, and so do the names in
//! a folder. Only a completed sync of the file, or of the folder, begun after the change had returned, makes it last.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Result, bail};

use super::judge::Said;
use super::trace::Call;
use fanfold_testkit::Random;

/// What a disk writes as a whole, in octets.
const SECTOR: usize = 512;

/// How much of what no sync covers is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// All of it.
    Everything,
    /// Some writes, each whole or not at all.
    Whole,
    /// Some writes, whole, not at all, or by the sector.
    Sectors,
}

/// An instant: everything that began before this line of the trace has begun, nothing later has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instant(usize);

impl Instant {
    pub(super) fn line(self) -> usize {
        self.0
    }
}

/// What happened to the files of the store, and what the program said meanwhile.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    contents: Vec<Content>,
    names: Vec<Name>,
    syncs: Vec<Sync>,
    said: Vec<(usize, Said)>,
}

/// A change of the content of a file.
#[derive(Debug)]
struct Content {
    file: usize,
    entered: usize,
    returned: usize,
    /// The line from which on it lasts.
    lasts_from: usize,
    change: Change,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, octets: Vec<u8> },
    Length(usize),
}

/// A change of the names in the folder.
#[derive(Debug)]
struct Name {
    entered: usize,
    returned: usize,
    lasts_from: usize,
    /// Names that stand for a file from now on, or for none.
    set: Vec<(String, Option<usize>)>,
}

#[derive(Debug)]
struct Sync {
    /// `None`: the folder.
    file: Option<usize>,
    entered: usize,
    returned: usize,
}

/// What an open file descriptor stands for.
#[derive(Debug, Clone, Copy)]
enum Open {
    File { file: usize, position: usize },
    Folder,
}

/// Reads calls into a timeline.
#[derive(Default)]
struct Reader<'a> {
    folder: &'a str,
    database: &'a str,
    open: HashMap<u64, Open>,
    names: BTreeMap<String, usize>,
    files: usize,
    timeline: Timeline,
}

impl Timeline {
    /// Reads the calls of a program whose store is `database` in `folder`.
    pub(super) fn read(calls: &[Call], folder: &Path, database: &str) -> Result<Self> {
        if calls.iter().any(|call| call.name == "fallocate") {
            bail!("the trace shows fallocate, whose effect on a file is not understood here");
        }
        let folder = folder.to_string_lossy().into_owned();
        let mut reader = Reader { folder: &folder, database, ..Reader::default() };
        calls.iter().for_each(|call| reader.take(call));
        let mut timeline = reader.timeline;
        timeline.settle();
        if timeline.writes() == 0 || timeline.syncs.is_empty() || timeline.said.is_empty() {
            bail!("the trace shows no writes, no syncs or no answers: was it the right program?");
        }
        Ok(timeline)
    }

    /// Works out from when on each change lasts.
    fn settle(&mut self) {
        let syncs = &self.syncs;
        let from = |file: Option<usize>, returned: usize| {
            let covering = syncs.iter().filter(|sync| sync.file == file && returned < sync.entered);
            covering.map(|sync| sync.returned).min().unwrap_or(usize::MAX)
        };
        self.contents.iter_mut().for_each(|content| content.lasts_from = from(Some(content.file), content.returned));
        self.names.iter_mut().for_each(|name| name.lasts_from = from(None, name.returned));
    }

    pub(super) fn writes(&self) -> usize {
        self.contents.len()
    }

    pub(super) fn syncs(&self) -> usize {
        self.syncs.len()
    }

    pub(super) fn said(&self) -> usize {
        self.said.len()
    }

    pub(super) fn accepted(&self) -> usize {
        self.said.iter().filter(|(_, said)| matches!(said, Said::Accepted(_))).count()
    }

    /// Everything that had been said by then.
    pub(super) fn said_before(&self, instant: Instant) -> impl Iterator<Item = &Said> {
        self.said.iter().take_while(move |(line, _)| *line < instant.0).map(|(_, said)| said)
    }

    /// So many instants at the most: just before a sync returns, when most is at stake, and just after something was said.
    pub(super) fn instants(&self, count: usize, random: &mut Random) -> Vec<Instant> {
        let before_syncs = self.syncs.iter().map(|sync| Instant(sync.returned));
        let after_words = self.said.iter().map(|(line, _)| Instant(line + 1));
        let mut all: Vec<Instant> = before_syncs.chain(after_words).collect();
        all.sort_unstable();
        all.dedup();
        while all.len() > count {
            all.remove(random.below(all.len()));
        }
        // Few instants are tried several times, with other losses.
        let mut chosen = all.clone();
        while chosen.len() < count && !all.is_empty() {
            chosen.push(all[random.below(all.len())]);
        }
        chosen
    }

    /// The files after a loss of power at this instant, and how many changes are missing or torn.
    pub(super) fn lose(&self, instant: Instant, loss: Loss, random: &mut Random) -> (BTreeMap<String, Vec<u8>>, usize) {
        let mut missing = 0;
        let mut files: HashMap<usize, Vec<u8>> = HashMap::new();
        for content in self.contents.iter().take_while(|content| content.entered < instant.0) {
            let file = files.entry(content.file).or_default();
            let kept = if content.lasts_from < instant.0 { Kept::Whole } else { Kept::draw(loss, random) };
            missing += usize::from(kept != Kept::Whole);
            content.change.apply(file, kept, random);
        }
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.names.iter().take_while(|name| name.entered < instant.0) {
            if name.lasts_from >= instant.0 && Kept::draw(loss, random) == Kept::Not {
                missing += 1;
                continue;
            }
            for (name, file) in &name.set {
                match file {
                    Some(file) => names.insert(name, *file),
                    None => names.remove(name.as_str()),
                };
            }
        }
        let content = |file: usize| files.get(&file).cloned().unwrap_or_default();
        (names.into_iter().map(|(name, file)| (name.to_owned(), content(file))).collect(), missing)
    }
}

/// How much of a change reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Whole,
    Sectors,
    Not,
}

impl Kept {
    fn draw(loss: Loss, random: &mut Random) -> Self {
        match loss {
            Loss::Everything => Self::Not,
            Loss::Whole if random.chance(1, 2) => Self::Whole,
            Loss::Sectors if random.chance(1, 3) => Self::Whole,
            Loss::Sectors if random.chance(1, 2) => Self::Sectors,
            Loss::Whole | Loss::Sectors => Self::Not,
        }
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>, kept: Kept, random: &mut Random) {
        match (self, kept) {
            (_, Kept::Not) => {}
            (Self::Length(length), Kept::Whole | Kept::Sectors) => file.resize(*length, 0),
            (Self::Write { offset, octets }, Kept::Whole) => write(file, *offset, octets),
            (Self::Write { offset, octets }, Kept::Sectors) => {
                let mut begin = 0;
                while begin < octets.len() {
                    let end = (((offset + begin) / SECTOR + 1) * SECTOR - offset).min(octets.len());
                    if random.chance(1, 2) {
                        write(file, offset + begin, &octets[begin..end]);
                    }
                    begin = end;
                }
            }
        }
    }
}

fn write(file: &mut Vec<u8>, offset: usize, octets: &[u8]) {
    if file.len() < offset + octets.len() {
        file.resize(offset + octets.len(), 0);
    }
    file[offset..offset + octets.len()].copy_from_slice(octets);
}

impl Reader<'_> {
    fn take(&mut self, call: &Call) {
        let descriptor = call.number(0);
        match call.name.as_str() {
            "openat" => self.opened(call),
            "close" => drop(descriptor.and_then(|descriptor| self.open.remove(&descriptor))),
            "write" | "pwrite64" | "writev" | "pwritev" | "sendto" | "sendmsg" => self.wrote(call, descriptor),
            "lseek" => {
                if let Some(Open::File { position, .. }) = descriptor.and_then(|it| self.open.get_mut(&it)) {
                    *position = usize::try_from(call.result).unwrap_or(0);
                }
            }
            "ftruncate" => {
                let length = call.last_number().and_then(|length| usize::try_from(length).ok());
                if let (Some(Open::File { file, .. }), Some(length)) = (self.opened_as(descriptor), length) {
                    self.content(call, file, Change::Length(length));
                }
            }
            "fsync" | "fdatasync" => {
                let file = match self.opened_as(descriptor) {
                    Some(Open::File { file, .. }) => Some(file),
                    Some(Open::Folder) => None,
                    None => return,
                };
                self.timeline.syncs.push(Sync { file, entered: call.entered, returned: call.returned });
            }
            "rename" | "renameat" | "renameat2" => {
                let (Some(from), Some(to)) = (self.name(call, 0), self.name(call, 1)) else { return };
                let Some(file) = self.names.remove(&from) else { return };
                self.names.insert(to.clone(), file);
                self.named(call, vec![(from, None), (to, Some(file))]);
            }
            "unlink" | "unlinkat" => {
                if let Some(name) = self.name(call, 0).filter(|name| self.names.contains_key(name)) {
                    self.names.remove(&name);
                    self.named(call, vec![(name, None)]);
                }
            }
            _ => {}
        }
    }

    fn opened(&mut self, call: &Call) {
        let Ok(descriptor) = u64::try_from(call.result) else { return };
        // A descriptor is given again once it was closed, by calls that are not traced too.
        self.open.remove(&descriptor);
        let path = call.text(0).unwrap_or_default();
        if path.trim_end_matches('/') == self.folder || path == "." {
            self.open.insert(descriptor, Open::Folder);
            return;
        }
        let Some(name) = self.name(call, 0) else { return };
        let file = match self.names.get(&name) {
            Some(file) => *file,
            None => {
                let file = self.files;
                self.files += 1;
                self.names.insert(name.clone(), file);
                self.named(call, vec![(name, Some(file))]);
                file
            }
        };
        if call.arguments.contains("O_TRUNC") {
            self.content(call, file, Change::Length(0));
        }
        self.open.insert(descriptor, Open::File { file, position: 0 });
    }

    fn wrote(&mut self, call: &Call, descriptor: Option<u64>) {
        let mut octets = call.octets();
        octets.truncate(usize::try_from(call.result).unwrap_or(0));
        match self.opened_as(descriptor) {
            Some(Open::File { file, position }) => {
                let at = call.last_number().filter(|_| call.name.starts_with('p'));
                let offset = at.and_then(|at| usize::try_from(at).ok()).unwrap_or(position);
                if let (None, Some(Open::File { position, .. })) =
                    (at, descriptor.and_then(|it| self.open.get_mut(&it)))
                {
                    *position += octets.len();
                }
                self.content(call, file, Change::Write { offset, octets });
            }
            Some(Open::Folder) => {}
            None => self.timeline.said.extend(Said::read(&octets).map(|said| (call.entered, said))),
        }
    }

    fn opened_as(&self, descriptor: Option<u64>) -> Option<Open> {
        self.open.get(&descriptor?).copied()
    }

    /// The name of a file of the store in its folder. The shared memory of the log is no part of what lasts: SQLite makes it anew.
    fn name(&self, call: &Call, place: usize) -> Option<String> {
        let path = call.text(place)?;
        let name = path.strip_prefix(self.folder).map_or(path.as_str(), |rest| rest.trim_start_matches('/'));
        let ours = name.starts_with(self.database) && !name.ends_with("-shm") && !name.ends_with(".lock");
        (ours && !name.contains('/')).then(|| name.to_owned())
    }

    fn content(&mut self, call: &Call, file: usize, change: Change) {
        let Call { entered, returned, .. } = *call;
        self.timeline.contents.push(Content { file, entered, returned, lasts_from: usize::MAX, change });
    }

    fn named(&mut self, call: &Call, set: Vec<(String, Option<usize>)>) {
        let Call { entered, returned, .. } = *call;
        self.timeline.names.push(Name { entered, returned, lasts_from: usize::MAX, set });
    }
}

#[cfg(test)]
mod tests;
