-- The highest number of an event of a tenant that went with its operation: whoever goes on after a lower number may miss some.
CREATE TABLE events_deleted (
    tenant TEXT    NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
