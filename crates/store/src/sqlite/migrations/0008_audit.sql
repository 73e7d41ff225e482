-- The audit trail. Outcome: asked, done, refused; the last one with a reason.
CREATE TABLE audit (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    by         TEXT    NOT NULL,
    credential TEXT    NOT NULL,
    peer       TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    operation  BLOB    CHECK (operation IS NULL OR length(operation) = 16),
    target     TEXT,
    subject    TEXT,
    detail     TEXT,
    outcome    TEXT    NOT NULL,
    reason     TEXT
) STRICT;

CREATE INDEX audit_by_tenant ON audit (tenant, number);
CREATE INDEX audit_by_name ON audit (by, number);
CREATE INDEX audit_by_action ON audit (action, number);
CREATE INDEX audit_by_operation ON audit (operation, number) WHERE operation IS NOT NULL;
CREATE INDEX audit_by_time ON audit (at, number);

-- Whoever has come to write here by another way does not get past this unnoticed.
CREATE TRIGGER audit_stays_as_it_is BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'an entry of the audit trail is never changed');
END;
