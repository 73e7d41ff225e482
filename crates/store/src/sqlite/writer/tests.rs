//! The writing thread without its thread.

use super::*;
use crate::sqlite::schema;

/// Stands for new work (`true`) or for what runs.
struct Insert<const ACCEPTS: bool>(&'static str);

impl<const ACCEPTS: bool> Write for Insert<ACCEPTS> {
    type Answer = ();
    const ACCEPTS: bool = ACCEPTS;

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        tx.execute("INSERT INTO meta (name, value) VALUES (?1, '')", [self.0])?;
        Ok(())
    }
}

fn submit<const ACCEPTS: bool>(writer: &mut Writer, names: &[&'static str]) -> Vec<Result<(), Error>> {
    let mut answers = Vec::new();
    let mut batch: Vec<Box<dyn Job>> = Vec::new();
    for name in names {
        let (reply, answer) = oneshot::channel();
        batch.push(Box::new(Queued { request: Insert::<ACCEPTS>(name), answer: None, reply }));
        answers.push(answer);
    }
    writer.work(batch);
    answers.into_iter().map(|mut answer| answer.try_recv().expect("each request is answered")).collect()
}

fn writer(directory: &tempfile::TempDir) -> Writer {
    let path = directory.path().join("fanfold.db");
    let lock = ProcessLock::take(&path).expect("nobody else has it");
    let mut sql = schema::open_writer(&path).expect("an empty directory can be used");
    schema::migrate(&mut sql, &path).expect("an empty file can be used");
    Writer {
        sql,
        limits: Limits::default(),
        open: 0,
        policies: HashSet::new(),
        trouble: Trouble::default(),
        metrics: Metrics::new(1, 1, 1),
        _lock: lock,
    }
}

#[test]
fn nothing_is_accepted_until_the_disk_takes_writes_again() {
    let directory = tempfile::TempDir::new().expect("a temporary directory can be made");
    let mut writer = writer(&directory);
    let set_broken = |writer: &Writer, broken: bool| {
        writer.sql.pragma_update(None, "query_only", broken).expect("the pragma is known");
    };
    set_broken(&writer, true);
    let failed = submit::<false>(&mut writer, &["a"]).remove(0);
    assert!(matches!(failed, Err(Error::Unavailable { may_have_committed: false, .. })), "{failed:?}");
    assert!(writer.trouble.get().is_some());
    assert_eq!(submit::<true>(&mut writer, &["b"]), [failed]);
    // The disk works again: new work finds out by itself, and so does what runs.
    set_broken(&writer, false);
    assert_eq!(submit::<true>(&mut writer, &["c"]), [Ok(())]);
    assert!(writer.trouble.get().is_none());
    set_broken(&writer, true);
    assert!(submit::<false>(&mut writer, &["d"]).remove(0).is_err());
    set_broken(&writer, false);
    assert_eq!(submit::<false>(&mut writer, &["e"]), [Ok(())]);
    assert!(writer.trouble.get().is_none());
}

#[test]
fn a_request_that_breaks_a_shared_transaction_fails_alone() {
    let directory = tempfile::TempDir::new().expect("a temporary directory can be made");
    let mut writer = writer(&directory);
    let answers = submit::<false>(&mut writer, &["a", "b", "a", "c"]);
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
    assert!(matches!(answers[2], Err(Error::Corrupt { .. })), "a name is unique: {:?}", answers[2]);
    let names: i64 = writer
        .sql
        .query_row("SELECT count(*) FROM meta WHERE name IN ('a', 'b', 'c')", [], |row| row.get(0))
        .expect("it can be read");
    assert_eq!(names, 3);
}

/// A mistake in the program.
struct Panic;

impl Write for Panic {
    type Answer = ();

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        tx.execute("INSERT INTO meta (name, value) VALUES ('half', '')", [])?;
        panic!("a mistake in the program");
    }
}

#[test]
fn a_panic_fails_its_own_request_and_nobody_elses() {
    let directory = tempfile::TempDir::new().expect("a temporary directory can be made");
    let mut writer = writer(&directory);
    let (reply, mut answer) = oneshot::channel();
    let (other_reply, mut other) = oneshot::channel();
    let panics = Box::new(Queued { request: Panic, answer: None, reply });
    let works = Box::new(Queued { request: Insert::<false>("a"), answer: None, reply: other_reply });
    writer.work(vec![works, panics]);
    assert_eq!(other.try_recv().expect("it is answered"), Ok(()));
    let failed = answer.try_recv().expect("it is answered");
    assert!(matches!(failed, Err(Error::Unavailable { may_have_committed: false, .. })), "{failed:?}");
    assert_eq!(submit::<true>(&mut writer, &["b"]), [Ok(())], "the store goes on");
    let half = "SELECT count(*) FROM meta WHERE name IN ('half', 'a', 'b')";
    let names: i64 = writer.sql.query_row(half, [], |row| row.get(0)).expect("it can be read");
    assert_eq!(names, 2, "nothing of it is left");
}

// The shared transaction may be found whole after a crash, so nobody is told that it was certainly not recorded.
#[test]
fn what_may_have_been_recorded_together_is_doubtful_alone() {
    let directory = tempfile::TempDir::new().expect("a temporary directory can be made");
    let mut writer = writer(&directory);
    let trouble = Error::Full { detail: "no room".to_owned(), may_have_committed: false };
    writer.trouble.set(Some(trouble));
    let mut alone = |may_have_committed| {
        let (reply, mut answer) = oneshot::channel();
        let job = Box::new(Queued { request: Insert::<true>("a"), answer: None, reply });
        writer.work_alone(job, &Error::Unavailable { detail: "broken".to_owned(), may_have_committed });
        answer.try_recv().expect("the request is answered").expect_err("the disk is in trouble")
    };
    assert!(alone(true).may_have_committed());
    assert!(!alone(false).may_have_committed());
}
