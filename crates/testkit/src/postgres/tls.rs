//! A certificate for a server on this machine, and the authority that signed it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const EXTENSIONS: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";

/// Not one certificate that signs itself: TLS libraries refuse an authority as the certificate of a server.
const STEPS: [&str; 3] = [
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=authority -keyout ca.key -out ca.pem",
    "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
    "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 30 -extfile extensions -out server.pem",
];

/// Writes `server.pem` and `server.key` into `home`, and gives the path of the authority's certificate. `openssl` runs the
/// program as the user that is to own the files.
pub(super) fn certify(home: &Path, openssl: impl Fn() -> Command) -> PathBuf {
    std::fs::write(home.join("extensions"), EXTENSIONS).expect("the folder is ours");
    for step in STEPS {
        let done = openssl().args(step.split(' ')).output().expect("openssl was found");
        assert!(done.status.success(), "openssl {step}: {}", String::from_utf8_lossy(&done.stderr));
    }
    // PostgreSQL refuses a key that others can read.
    std::fs::set_permissions(home.join("server.key"), Permissions::from_mode(0o600)).expect("the file is ours");
    home.join("ca.pem")
}
