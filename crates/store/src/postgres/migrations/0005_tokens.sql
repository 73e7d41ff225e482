-- Bearer tokens. Of a secret there is its SHA-256 alone. `access` is JSON: the tenant once more, roles and scope.
CREATE TABLE tokens (
    id           uuid   NOT NULL PRIMARY KEY,
    tenant       text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    access       text   NOT NULL,
    digest       bytea  NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    created_at   bigint NOT NULL,
    created_by   text   NOT NULL,
    expires_at   bigint,
    revoked_at   bigint,
    revoked_by   text,
    last_used_at bigint,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX tokens_by_name ON tokens (tenant, name) WHERE revoked_at IS NULL;
CREATE INDEX tokens_by_tenant ON tokens (tenant, id);
CREATE INDEX tokens_revoked ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;

-- How often a token was made or revoked.
ALTER TABLE counters ADD COLUMN tokens bigint NOT NULL DEFAULT 0;
