-- What lists are filtered by, so that what few operations have is found without reading the others. A facet is a number for one
-- value: a target, a resource, or a kind of operation. Two values may share one, so the row of the operation is looked at too.
CREATE TABLE facets (
    facet     INTEGER NOT NULL,
    operation BLOB    NOT NULL,
    PRIMARY KEY (facet, operation)
) STRICT, WITHOUT ROWID;

-- The kinds: few, since all of it comes from the configuration. `kind` is the facet.
CREATE TABLE kinds (
    kind    INTEGER PRIMARY KEY,
    tenant  TEXT NOT NULL,
    route   TEXT NOT NULL,
    dialect TEXT NOT NULL,
    mount   TEXT NOT NULL,
    verb    TEXT NOT NULL
) STRICT;

-- What a search for a text looks at, in small letters: apart from the records, so that it reads no more than that.
CREATE TABLE texts (
    tenant    TEXT NOT NULL,
    operation BLOB NOT NULL,
    searched  TEXT NOT NULL,
    PRIMARY KEY (tenant, operation)
) STRICT, WITHOUT ROWID;

CREATE INDEX operations_by_attention ON operations (tenant, id) WHERE attention > 0;

CREATE INDEX attention_by_target ON attention (tenant, target, id);
