-- The audit trail. Outcome: asked, done, refused; the last one with a reason.
CREATE TABLE audit (
    number     bigint NOT NULL PRIMARY KEY,
    at         bigint NOT NULL,
    tenant     text COLLATE "C" NOT NULL,
    by         text COLLATE "C" NOT NULL,
    credential text   NOT NULL,
    peer       text   NOT NULL,
    action     text COLLATE "C" NOT NULL,
    operation  uuid,
    target     text,
    subject    text,
    detail     text,
    outcome    text   NOT NULL,
    reason     text
);

CREATE INDEX audit_by_tenant ON audit (tenant, number);
CREATE INDEX audit_by_name ON audit (by, number);
CREATE INDEX audit_by_action ON audit (action, number);
CREATE INDEX audit_by_operation ON audit (operation, number) WHERE operation IS NOT NULL;
CREATE INDEX audit_by_time ON audit (at, number);

ALTER TABLE audit SET (autovacuum_vacuum_insert_scale_factor = 0.05);

-- Whoever has come to write here by another way does not get past this unnoticed.
CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an entry of the audit trail is never changed';
END
$$;

CREATE TRIGGER audit_stays_as_it_is BEFORE UPDATE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();

-- The last number that was given out.
ALTER TABLE counters ADD COLUMN audit bigint NOT NULL DEFAULT 0;
