-- Sessions of people. Of a secret there is its SHA-256 alone. `of` is JSON: what a session was begun with; `tenant` and
-- `holder` are whose it is, to be counted by.
CREATE TABLE sessions (
    digest     BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    tenant     TEXT    NOT NULL,
    holder     TEXT    NOT NULL,
    of         TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_holder ON sessions (holder, created_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);
