use super::super::trace;
use super::*;

/// `text` in the way that strace escapes it.
fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
}

fn timeline(lines: &[String]) -> Timeline {
    let answer = format!("HTTP/1.1 202 Accepted\r\nlocation: /o/{}\r\n\r\n", "01a20105-6fcf-737a-a77a-ecb48cd483d2");
    let mut lines = lines.to_vec();
    lines.push(format!("1 write(99, \"{}\", {}) = {}", hex(&answer), answer.len(), answer.len()));
    Timeline::read(&trace::read(&lines.join("\n")), Path::new("/home"), "db").unwrap()
}

fn lines() -> Vec<String> {
    vec![
        format!("1 openat(AT_FDCWD, \"{}\", O_RDWR|O_CREAT, 0600) = 5", hex("/home/db")),
        format!("1 openat(AT_FDCWD, \"{}\", O_RDONLY) = 6", hex("/home")),
        "1 fsync(6) = 0".to_owned(),
        format!("1 pwrite64(5, \"{}\", 3, 0) = 3", hex("one")),
        "1 fdatasync(5) = 0".to_owned(),
        format!("1 pwrite64(5, \"{}\", 3, 3) = 3", hex("two")),
    ]
}

fn file(timeline: &Timeline, line: usize, loss: Loss) -> Option<String> {
    let (files, _) = timeline.lose(Instant(line), loss, &mut Random::new(1));
    files.get("db").map(|octets| String::from_utf8(octets.clone()).unwrap())
}

#[test]
fn what_was_synced_stays_and_the_rest_may_be_lost() {
    let timeline = timeline(&lines());
    assert_eq!(file(&timeline, 7, Loss::Everything).as_deref(), Some("one"));
    // The sync was on its way, and had not returned.
    assert_eq!(file(&timeline, 4, Loss::Everything).as_deref(), Some(""));
    assert_eq!(timeline.said_before(Instant(6)).count(), 0);
    assert_eq!(timeline.said_before(Instant(7)).count(), 1);
}

#[test]
fn a_name_lasts_only_once_its_folder_was_synced() {
    let timeline = timeline(&lines());
    assert_eq!(file(&timeline, 2, Loss::Everything), None);
    assert_eq!(file(&timeline, 3, Loss::Everything).as_deref(), Some(""));
}

#[test]
fn a_write_is_torn_at_sectors() {
    let long = "x".repeat(3 * SECTOR);
    let mut lines = lines();
    lines.push(format!("1 pwrite64(5, \"{}\", {}, 0) = {}", hex(&long), long.len(), long.len()));
    let timeline = timeline(&lines);
    let torn = (0..64).any(|seed| {
        let (files, missing) = timeline.lose(Instant(8), Loss::Sectors, &mut Random::new(seed));
        let kept = files["db"].iter().filter(|octet| **octet == b'x').count();
        assert_eq!(kept % SECTOR, 0);
        missing > 0 && kept > 0 && kept < long.len()
    });
    assert!(torn, "in 64 draws some are torn");
}

#[test]
fn a_renamed_file_takes_its_content_along() {
    let mut lines = lines();
    lines.push(format!("1 rename(\"{}\", \"{}\") = 0", hex("/home/db"), hex("/home/db.key")));
    lines.push("1 fsync(6) = 0".to_owned());
    let timeline = timeline(&lines);
    let (files, _) = timeline.lose(Instant(8), Loss::Everything, &mut Random::new(1));
    assert_eq!(files.keys().collect::<Vec<_>>(), ["db.key"]);
    assert_eq!(files["db.key"], b"one");
}
