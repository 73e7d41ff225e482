-- Bearer tokens. Of a secret there is its SHA-256 alone. `access` is JSON: the tenant once more, roles and scope.
CREATE TABLE tokens (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant       TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    access       TEXT    NOT NULL,
    digest       BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at   INTEGER NOT NULL,
    created_by   TEXT    NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    revoked_by   TEXT,
    last_used_at INTEGER,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX tokens_by_name ON tokens (tenant, name) WHERE revoked_at IS NULL;
CREATE INDEX tokens_by_tenant ON tokens (tenant, id);
CREATE INDEX tokens_revoked ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;

-- How often something was changed that is kept in memory: `tokens`, each time that one was made or revoked.
CREATE TABLE versions (
    of     TEXT    NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO versions (of, number) VALUES ('tokens', 0);
