//! Who asks the servers that are tried here: one who has a token and may do everything. So everything is tried with the door shut.

use fanfold_core::access::SecretDigest;
use fanfold_testkit::Http;

/// The token; its owner is nobody's but this program's.
const TOKEN: &str = "fanfold_for-the-trial-of-a-server-on-this-machine";

/// What a request shows.
pub(crate) fn authorization() -> String {
    format!("Bearer {TOKEN}")
}

/// A client of the server at `base` that shows it.
pub(crate) fn client(base: &str) -> Http {
    Http::new(base).with("authorization", &authorization())
}

/// What a server is configured with that knows the token, and lets loads through.
pub(crate) fn config() -> String {
    format!(
        "[[auth.tokens]]\nname = \"trial\"\nsha256 = \"{}\"\nroles = [\"admin\"]\n\n\
         [limits]\nrequests_per_second = 1000000\nfailed_authentications_per_minute = 1000000\n\n",
        SecretDigest::of(TOKEN)
    )
}
