-- Sessions of people. Of a secret there is its SHA-256 alone. `of` is JSON: what a session was begun with; `tenant` and
-- `holder` are whose it is, to be counted by.
CREATE TABLE sessions (
    digest     bytea  NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
    tenant     text COLLATE "C" NOT NULL,
    holder     text COLLATE "C" NOT NULL,
    of         text   NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);

CREATE INDEX sessions_by_holder ON sessions (holder, created_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);
