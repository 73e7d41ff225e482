//! Where the store is.

use std::path::PathBuf;

use fanfold_store::postgres;

use super::TextForm;
use crate::config::finding::Wrong;

/// Where operations are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// A file of the embedded database.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A PostgreSQL database. The address may hold a password, and shows none.
    Postgres {
        /// The address.
        url: Box<postgres::Url>,
    },
}

impl StoreUrl {
    /// As an argument of a command.
    pub(crate) fn of_argument(text: &str) -> Result<Self, String> {
        Self::read(text).map_err(|wrong| wrong.message)
    }
}

impl TextForm for StoreUrl {
    const FORMAT: &'static str = "fanfold-store-url";
    const EXAMPLE: &'static str = "sqlite:fanfold.db";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            if text.contains("${") {
                return Err(Wrong::new("nothing is put into the address of a database").hint(
                    "give the password with password = \"${env:NAME}\", or the whole address with FANFOLD_STORE_URL",
                ));
            }
            let bad =
                |bad: postgres::BadUrl| Wrong::new(format!("this is not the address of a PostgreSQL database: {bad}"));
            return Ok(Self::Postgres { url: Box::new(text.parse().map_err(bad)?) });
        }
        let hint =
            "write \"sqlite:fanfold.db\", \"sqlite:/var/lib/fanfold/fanfold.db\", or \"postgres://user@host/database\"";
        let path = text.strip_prefix("sqlite:").ok_or_else(|| {
            // Not shown: an address of another kind may hold a password.
            Wrong::new("this is not the address of a store").hint(hint)
        })?;
        let path = match path.strip_prefix("//") {
            Some(absolute) if absolute.starts_with('/') => absolute,
            Some(_) => return Err(Wrong::new(format!("{text:?} names a host, and SQLite has none")).hint(hint)),
            None => path,
        };
        if path.is_empty() || path.contains(['?', '\0']) || path.contains(":memory:") {
            return Err(Wrong::new(format!("{text:?} does not name a file"))
                .hint("operations are kept in a file, so that none is lost when the program ends"));
        }
        Ok(Self::Sqlite { path: PathBuf::from(path) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_files_or_servers() {
        let sqlite = |path: &str| StoreUrl::Sqlite { path: path.into() };
        assert_eq!(StoreUrl::read("sqlite:fanfold.db"), Ok(sqlite("fanfold.db")));
        assert_eq!(StoreUrl::read("sqlite:/var/lib/f.db"), Ok(sqlite("/var/lib/f.db")));
        assert_eq!(StoreUrl::read("sqlite:///var/lib/f.db"), Ok(sqlite("/var/lib/f.db")));
        for bad in [
            "",
            "fanfold.db",
            "sqlite:",
            "sqlite::memory:",
            "sqlite://host/f.db",
            "sqlite:f.db?mode=ro",
            "mysql://a:b@c",
            "postgres://u@db",
            "postgres://u@db/d?sslmode=prefer",
        ] {
            assert!(StoreUrl::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = StoreUrl::read("postgres://fanfold:s3cret@db/fanfold").unwrap();
        assert!(!format!("{url:?}").contains("s3cret"));
        for bad in
            ["mysql://fanfold:s3cret@db/fanfold", "postgres://fanfold:s3cret@db", "postgres://fanfold:s3cret@db:x/y"]
        {
            let wrong = StoreUrl::read(bad).unwrap_err();
            assert!(!format!("{wrong:?}").contains("s3cret"), "{bad}");
        }
    }
}
