-- Times are microseconds since 1970, UTC. Ids of operations are the sixteen octets of their UUIDv7, so they sort by acceptance.
-- Keys that clients choose (idempotency keys, lock keys) are unique within a tenant; ids are unique by their making.

-- The frozen rules of routes, stored once however many operations share them.
CREATE TABLE policies (
    hash   TEXT NOT NULL PRIMARY KEY,
    policy TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each operation: what is filtered, sorted and looked up, and the state (JSON, without the plan).
-- `serial` links the tables to each other and is shown to nobody.
CREATE TABLE operations (
    serial          INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    tenant          TEXT    NOT NULL,
    revision        INTEGER NOT NULL,
    status          TEXT    NOT NULL,
    route           TEXT    NOT NULL,
    dialect         TEXT    NOT NULL,
    mount           TEXT    NOT NULL,
    owner           TEXT,
    verb            TEXT    NOT NULL,
    resource        TEXT    NOT NULL,
    -- The names of all targets, each between line feeds.
    targets         TEXT    NOT NULL,
    lane            TEXT    NOT NULL,
    lock_key        TEXT,
    idempotency_key TEXT,
    fingerprint     BLOB,
    accepted_at     INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    wake_at         INTEGER,
    ended_at        INTEGER,
    expires_at      INTEGER,
    -- How many notes are open.
    attention       INTEGER NOT NULL DEFAULT 0,
    -- The slots of the state whose bodies stand apart, separated by commas.
    apart           TEXT    NOT NULL DEFAULT '',
    state           TEXT    NOT NULL,
    CHECK ((idempotency_key IS NULL) = (fingerprint IS NULL)),
    CHECK (wake_at IS NULL OR ended_at IS NULL)
) STRICT;

CREATE UNIQUE INDEX operations_by_key ON operations (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX operations_by_status ON operations (tenant, status, id);
CREATE INDEX operations_by_owner ON operations (tenant, owner, id) WHERE owner IS NOT NULL;
CREATE INDEX operations_due ON operations (lane, wake_at, id) WHERE wake_at IS NOT NULL;
-- Those that have not ended have no end, and stand together at the beginning: what a start recovers.
CREATE INDEX operations_by_end ON operations (ended_at, id);
CREATE INDEX operations_expiring ON operations (expires_at, id) WHERE expires_at IS NOT NULL AND attention = 0;

-- How many operations there are of each status, so that counting them does not mean reading them.
CREATE TABLE counts (
    tenant TEXT    NOT NULL,
    status TEXT    NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (tenant, status)
) STRICT, WITHOUT ROWID;

-- What an operation will do (JSON, without the policy). Written once.
CREATE TABLE plans (
    operation INTEGER PRIMARY KEY REFERENCES operations (serial),
    policy    TEXT NOT NULL,
    plan      TEXT NOT NULL
) STRICT;

-- Public bodies that are too large for the record.
CREATE TABLE bodies (
    operation INTEGER NOT NULL REFERENCES operations (serial),
    slot      TEXT    NOT NULL,
    octets    BLOB    NOT NULL,
    PRIMARY KEY (operation, slot)
) STRICT, WITHOUT ROWID;

-- Originals of redacted messages: nonce, then AES-256-GCM ciphertext. Deleted when the operation ends.
CREATE TABLE sealed (
    operation INTEGER NOT NULL REFERENCES operations (serial),
    slot      TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    box       BLOB    NOT NULL,
    PRIMARY KEY (operation, slot)
) STRICT, WITHOUT ROWID;

-- The history of operations (JSON). The numbers are those of live streams, and never used again.
CREATE TABLE events (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    operation INTEGER NOT NULL REFERENCES operations (serial),
    at        INTEGER NOT NULL,
    event     TEXT    NOT NULL
) STRICT;

CREATE INDEX events_by_operation ON events (operation, number);

-- Who holds a lock and who waits for it: the lowest turn of a key is the holder.
CREATE TABLE locks (
    tenant    TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    turn      INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    PRIMARY KEY (tenant, key, turn)
) STRICT, WITHOUT ROWID;

-- Notes that a person is needed.
CREATE TABLE attention (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant    TEXT    NOT NULL,
    operation INTEGER NOT NULL REFERENCES operations (serial),
    step      INTEGER,
    target    TEXT,
    reason    TEXT    NOT NULL,
    detail    TEXT    NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER,
    closed_by TEXT,
    remark    TEXT
) STRICT;

CREATE INDEX attention_by_operation ON attention (operation);
CREATE INDEX attention_open ON attention (tenant, id) WHERE closed_at IS NULL;

-- The outbox.
CREATE TABLE notices (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    tenant     TEXT    NOT NULL,
    operation  INTEGER NOT NULL REFERENCES operations (serial),
    state      TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    method     TEXT    NOT NULL,
    url        TEXT    NOT NULL,
    headers    TEXT    NOT NULL,
    body       BLOB    NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    due_at     INTEGER NOT NULL,
    last_error TEXT,
    created_at INTEGER NOT NULL,
    settled_at INTEGER
) STRICT;

CREATE INDEX notices_pending ON notices (due_at, number) WHERE state = 'pending';
CREATE INDEX notices_by_state ON notices (tenant, state, number);
CREATE INDEX notices_by_operation ON notices (operation, state, number);

-- Targets that get no new attempt.
CREATE TABLE holds (
    target  TEXT    NOT NULL PRIMARY KEY,
    since   INTEGER NOT NULL,
    by      TEXT    NOT NULL,
    reason  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Single values: `sealing_key` is the id of the key that new messages are sealed with.
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
