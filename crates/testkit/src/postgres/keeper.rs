//! What must not outlive the test process: servers, and their folders.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};

/// Removes a folder at the end of its input, which comes when the process that holds the other side ends, in whatever way.
/// A server that is just ending may still write there, so it tries again for up to ten seconds.
const REMOVE: &str = r#"trap '' HUP INT TERM QUIT; read -r _; n=0
until rm -rf "$0" 2>/dev/null || [ $n -ge 100 ]; do n=$((n + 1)); sleep 0.1; done"#;

type Order = (Command, Sender<io::Result<Child>>);

/// Starts a command from a thread that lives as long as this process. The kernel sends the signal of `--pdeathsig` when the
/// *thread* ends that started the command, and a test's thread ends long before the others are done with a shared server.
pub(super) fn spawn(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, received) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in received {
                // Nobody is there to take it only if the test that asked has panicked.
                drop(answer.send(command.spawn()));
            }
        });
        orders
    });
    let (answer, spawned) = mpsc::channel();
    orders.send((command, answer)).expect("the thread ends with the process");
    spawned.recv().expect("the thread answers every order")
}

/// Removes a folder when it is dropped, or when this process ends without.
#[derive(Debug)]
pub(super) struct Remover(Child);

impl Remover {
    pub(super) fn of(folder: &Path) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(REMOVE).arg(folder).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("every machine has a shell"))
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It fails only if the remover is gone already.
        drop(self.0.wait());
    }
}
