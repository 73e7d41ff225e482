-- Times are microseconds since 1970, UTC. Ids of operations are UUIDv7, so they sort by acceptance. Texts are compared octet by
-- octet (collation "C"), as they are everywhere else. There are no foreign keys: everything that hangs on an operation is
-- written and deleted together with it, by one writer at a time, and checking each row again would cost a look-up each.

-- The one row of numbers that are given out in order, without a gap, and of what the records take up.
CREATE TABLE counters (
    only_one boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_one),
    events   bigint  NOT NULL DEFAULT 0,
    notes    bigint  NOT NULL DEFAULT 0,
    notices  bigint  NOT NULL DEFAULT 0,
    epochs   bigint  NOT NULL DEFAULT 0,
    used     bigint  NOT NULL DEFAULT 0
);
INSERT INTO counters DEFAULT VALUES;

-- Single values: `sealing_key` is the id of the key that new messages are sealed with.
CREATE TABLE meta (
    name  text COLLATE "C" NOT NULL PRIMARY KEY,
    value text NOT NULL
);

-- The processes that share the database. Standing: member, left, fenced.
CREATE TABLE nodes (
    epoch         bigint NOT NULL PRIMARY KEY,
    name          text   NOT NULL,
    configuration text   NOT NULL,
    version       text   NOT NULL,
    joined_at     bigint NOT NULL,
    beat          bigint NOT NULL DEFAULT 0,
    beat_at       bigint NOT NULL,
    standing      text   NOT NULL
) WITH (fillfactor = 50);

-- The frozen rules of routes, stored once however many operations share them.
CREATE TABLE policies (
    hash   text COLLATE "C" NOT NULL PRIMARY KEY,
    policy text NOT NULL
);

-- One row for each operation: what is filtered, sorted and looked up, and the state (JSON, without the plan). Room is left on
-- its pages, so that most changes of the state touch no index.
CREATE TABLE operations (
    id              uuid     NOT NULL PRIMARY KEY,
    tenant          text COLLATE "C" NOT NULL,
    -- Whose it is: a node, or 0 where the store is used by a process that is none.
    epoch           bigint   NOT NULL,
    adopted_at      bigint,
    revision        bigint   NOT NULL,
    status          text COLLATE "C" NOT NULL,
    route           text COLLATE "C" NOT NULL,
    dialect         text COLLATE "C" NOT NULL,
    mount           text COLLATE "C" NOT NULL,
    owner           text COLLATE "C",
    verb            text COLLATE "C" NOT NULL,
    resource        text COLLATE "C" NOT NULL,
    -- The names of all targets, each between line feeds.
    targets         text COLLATE "C" NOT NULL,
    lane            text COLLATE "C" NOT NULL,
    lock_key        text COLLATE "C",
    idempotency_key text COLLATE "C",
    fingerprint     bytea,
    -- Whether another request with its key was answered with it before it had begun.
    claimed         boolean  NOT NULL DEFAULT false,
    retry_of        uuid,
    accepted_at     bigint   NOT NULL,
    updated_at      bigint   NOT NULL,
    wake_at         bigint,
    ended_at        bigint,
    expires_at      bigint,
    -- How many notes are open.
    attention       integer  NOT NULL DEFAULT 0,
    -- How many events there are.
    events          integer  NOT NULL DEFAULT 0,
    -- Octets of everything that is recorded of it.
    used            bigint   NOT NULL DEFAULT 0,
    -- The slots of the state whose bodies stand apart, separated by commas.
    apart           text     NOT NULL DEFAULT '',
    state           text     NOT NULL,
    CHECK ((idempotency_key IS NULL) = (fingerprint IS NULL)),
    CHECK (wake_at IS NULL OR ended_at IS NULL)
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX operations_by_key ON operations (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX operations_by_retry ON operations (tenant, retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX operations_by_status ON operations (tenant, status, id);
CREATE INDEX operations_by_owner ON operations (tenant, owner, id) WHERE owner IS NOT NULL;
CREATE INDEX operations_due ON operations (epoch, lane, wake_at, id) WHERE wake_at IS NOT NULL;
CREATE INDEX operations_open ON operations (epoch, id) WHERE ended_at IS NULL;
CREATE INDEX operations_by_end ON operations (ended_at, id) WHERE ended_at IS NOT NULL AND attention = 0;
CREATE INDEX operations_expiring ON operations (expires_at, id) WHERE expires_at IS NOT NULL AND attention = 0;

-- How many operations there are of each status, so that counting them does not mean reading them.
CREATE TABLE counts (
    tenant text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (tenant, status)
) WITH (fillfactor = 50);

-- What an operation will do (JSON, without the policy). Written once.
CREATE TABLE plans (
    operation uuid NOT NULL PRIMARY KEY,
    policy    text COLLATE "C" NOT NULL,
    plan      text NOT NULL
);

-- Public bodies that are too large for the record.
CREATE TABLE bodies (
    operation uuid  NOT NULL,
    slot      text COLLATE "C" NOT NULL,
    octets    bytea NOT NULL,
    PRIMARY KEY (operation, slot)
);

-- Originals of redacted messages: nonce, then AES-256-GCM ciphertext. Deleted when the operation ends.
CREATE TABLE sealed (
    operation uuid  NOT NULL,
    slot      text COLLATE "C" NOT NULL,
    key       text  NOT NULL,
    box       bytea NOT NULL,
    PRIMARY KEY (operation, slot)
);

-- The history of operations (JSON). The numbers are those of live streams, and never used again.
CREATE TABLE events (
    number    bigint  NOT NULL PRIMARY KEY,
    operation uuid    NOT NULL,
    sequence  integer NOT NULL,
    at        bigint  NOT NULL,
    event     text    NOT NULL
);

CREATE INDEX events_by_operation ON events (operation, number);

-- The highest number of an event of a tenant that went with its operation: whoever goes on after a lower number may miss some.
CREATE TABLE events_deleted (
    tenant text COLLATE "C" NOT NULL PRIMARY KEY,
    number bigint NOT NULL
) WITH (fillfactor = 50);

-- Who holds a lock and who waits for it: the lowest turn of a key is the holder.
CREATE TABLE locks (
    tenant    text COLLATE "C" NOT NULL,
    key       text COLLATE "C" NOT NULL,
    turn      bigint NOT NULL,
    operation uuid   NOT NULL,
    PRIMARY KEY (tenant, key, turn)
);

CREATE UNIQUE INDEX locks_by_operation ON locks (operation);

-- Notes that a person is needed.
CREATE TABLE attention (
    id        bigint NOT NULL PRIMARY KEY,
    tenant    text COLLATE "C" NOT NULL,
    operation uuid   NOT NULL,
    step      integer,
    target    text COLLATE "C",
    reason    text   NOT NULL,
    detail    text   NOT NULL,
    opened_at bigint NOT NULL,
    closed_at bigint,
    closed_by text,
    remark    text
);

CREATE INDEX attention_by_operation ON attention (operation);
CREATE INDEX attention_open ON attention (tenant, id) WHERE closed_at IS NULL;

-- The outbox. `epoch` is the node that sends.
CREATE TABLE notices (
    number     bigint NOT NULL PRIMARY KEY,
    id         text COLLATE "C" NOT NULL UNIQUE,
    tenant     text COLLATE "C" NOT NULL,
    operation  uuid   NOT NULL,
    epoch      bigint NOT NULL,
    state      text COLLATE "C" NOT NULL,
    kind       text   NOT NULL,
    method     text   NOT NULL,
    url        text   NOT NULL,
    receiver   text COLLATE "C" NOT NULL,
    headers    text   NOT NULL,
    body       bytea  NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    due_at     bigint NOT NULL,
    last_error text,
    created_at bigint NOT NULL,
    settled_at bigint
);

CREATE INDEX notices_by_receiver ON notices (epoch, receiver, due_at, number) WHERE state = 'pending';
CREATE INDEX notices_pending ON notices (epoch, due_at) WHERE state = 'pending';
CREATE INDEX notices_waiting ON notices (created_at) WHERE state = 'pending';
CREATE INDEX notices_dead ON notices (number) WHERE state = 'dead';
CREATE INDEX notices_by_state ON notices (tenant, state, number);
CREATE INDEX notices_by_operation ON notices (operation, state, number);

-- Targets that get no new attempt.
CREATE TABLE holds (
    target text COLLATE "C" NOT NULL PRIMARY KEY,
    since  bigint NOT NULL,
    by     text   NOT NULL,
    reason text   NOT NULL
);

-- What nodes were granted of the limits of targets. Pool: forward, undo.
CREATE TABLE permits (
    target  text COLLATE "C" NOT NULL,
    pool    text COLLATE "C" NOT NULL,
    epoch   bigint NOT NULL,
    granted bigint NOT NULL,
    wants   bigint NOT NULL,
    turn    bigint NOT NULL,
    PRIMARY KEY (target, pool, epoch)
) WITH (fillfactor = 50);

-- What a node asks the one that owns an operation.
CREATE TABLE asks (
    number    bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation uuid   NOT NULL,
    event     text   NOT NULL,
    asked_at  bigint NOT NULL,
    answer    text
);

-- Tables that are changed all the time are tidied early, by what has changed and not by a share of what is there: at a hundred
-- million records a fifth of them would be far too late.
ALTER TABLE operations SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE events SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE plans SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE bodies SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
ALTER TABLE notices SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
ALTER TABLE locks SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
