//! The files that pages need: compiled in, and sent with a name that changes with their content, so that browsers keep them.

use std::fmt::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use fanfold_core::dialect::Reply;
use http::StatusCode;
use sha2::{Digest as _, Sha256};

use crate::http::outcome::{self, Response, Stop};

/// A file.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    octets: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($name:literal, $media_type:expr) => {
        Asset { name: $name, media_type: $media_type, octets: include_bytes!(concat!("../../../assets/", $name)) }
    };
}

static ASSETS: [Asset; 7] = [
    asset!("console.css", "text/css; charset=utf-8"),
    asset!("console.js", SCRIPT),
    asset!("htmx.min.js", SCRIPT),
    asset!("htmx-sse.min.js", SCRIPT),
    asset!("idiomorph-ext.min.js", SCRIPT),
    asset!("icon.svg", "image/svg+xml"),
    asset!("LICENSES.txt", "text/plain; charset=utf-8"),
];

/// A piece of the hash of all of them: enough to tell versions of the program apart.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in &ASSETS {
        hash.update(asset.octets);
    }
    hash.finalize().iter().take(6).fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").expect("writing to a String cannot fail");
        text
    })
});

/// Where a file is.
pub(super) fn address(name: &str) -> String {
    format!("/ui/assets/{name}?v={}", *VERSION)
}

/// Answers with a file.
pub(super) fn serve(name: &str) -> Result<Response, Stop> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(|| Stop::not_found("file"))?;
    let reply = Reply { status: StatusCode::OK, headers: Vec::new(), body: Bytes::from_static(asset.octets) };
    let reply = reply
        .with("content-type", asset.media_type)
        .with("cache-control", "public, max-age=31536000, immutable")
        .with("x-content-type-options", "nosniff");
    Ok(outcome::reply(reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of others are as their projects published them: a change has to be one of version, made on purpose.
    #[test]
    fn files_of_others_are_unchanged() {
        for (name, expected) in [
            ("htmx.min.js", "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"),
            ("htmx-sse.min.js", "98a46496de0c3605fbffdce9167ba427bdd9553184f83f149c261891a92c0136"),
            ("idiomorph-ext.min.js", "5811b9a7eda14878b7dab4378bf60432e1bb6f11fcfb970cc26540642650181e"),
        ] {
            let asset = ASSETS.iter().find(|asset| asset.name == name).unwrap();
            let hash = Sha256::digest(asset.octets).iter().map(|octet| format!("{octet:02x}")).collect::<String>();
            assert_eq!(hash, expected, "{name}");
        }
    }

    #[test]
    fn no_file_of_ours_asks_another_host_for_anything() {
        let own: Vec<_> =
            ASSETS.iter().filter(|asset| ["console.css", "console.js", "icon.svg"].contains(&asset.name)).collect();
        assert_eq!(own.len(), 3);
        for asset in own {
            // The name of the language that a picture is in is no address.
            let text = std::str::from_utf8(asset.octets).unwrap().replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
            assert!(!text.contains("://") && !text.contains("@import"), "{}", asset.name);
        }
    }
}
