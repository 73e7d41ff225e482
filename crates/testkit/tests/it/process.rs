//! Processes, with the shell in place of the real program.

use fanfold_testkit::{Home, Process};

fn shell(home: &Home, script: &str) -> Process {
    home.start("sh", &["-c", script])
}

#[tokio::test]
async fn a_program_tells_where_it_listens_and_ends_when_asked() {
    let home = Home::new("[server]\n");
    // Not with the traps of a shell: some of them lose a signal that comes while they begin to wait.
    let script = r#"exec perl -e '$| = 1; $SIG{TERM} = sub { print "bye\n"; exit 3 }; $SIG{HUP} = sub { print "again\n" };
        system("cat fanfold.toml"); print STDERR "info: listening on http://127.0.0.1:4711 (1 worker)\n"; sleep 1 while 1'"#;
    let process = shell(&home, script);
    assert_eq!(process.url().await, "http://127.0.0.1:4711");
    process.line("[server]").await;
    process.reload();
    process.line("again").await;
    process.pause();
    process.resume();
    process.terminate();
    process.line("bye").await;
}

#[tokio::test]
async fn an_ended_program_leaves_its_status_and_its_output() {
    let home = Home::new("");
    let (status, printed) = shell(&home, "echo one; echo two >&2; echo kept > file; exit 7").ended().await;
    assert_eq!(status.code(), Some(7));
    assert!(printed.contains("one\n") && printed.contains("two\n"), "{printed}");
    // The next one finds what it left.
    let (_, printed) = shell(&home, "cat file").ended().await;
    assert_eq!(printed, "kept\n");
}

#[tokio::test]
async fn a_killed_program_is_gone() {
    let home = Home::new("");
    let process = shell(&home, "echo up; exec sleep 600");
    process.line("up").await;
    let id = process.id();
    process.kill();
    let (status, _) = shell(&home, &format!("kill -0 {id}")).ended().await;
    assert!(!status.success());
}
