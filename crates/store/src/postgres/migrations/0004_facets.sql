-- What lists are filtered by, so that what few operations have is found without reading the others. A facet is a number for one
-- value: a target, a resource, or a kind of operation. Two values may share one, so the row of the operation is looked at too.
--
-- The database keeps them itself, so that they are there also for what a node of the version before accepts.
CREATE TABLE facets (
    facet     bigint NOT NULL,
    operation uuid   NOT NULL,
    PRIMARY KEY (facet, operation)
);

-- The kinds: few, since all of it comes from the configuration. `kind` is the facet.
CREATE TABLE kinds (
    kind    bigint NOT NULL PRIMARY KEY,
    tenant  text COLLATE "C" NOT NULL,
    route   text COLLATE "C" NOT NULL,
    dialect text COLLATE "C" NOT NULL,
    mount   text COLLATE "C" NOT NULL,
    verb    text COLLATE "C" NOT NULL
);

CREATE FUNCTION facet_of(what text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ('x' || encode(substr(sha256(convert_to(what, 'UTF8')), 1, 6), 'hex'))::bit(48)::bigint
$$;

CREATE FUNCTION kind_of(tenant text, route text, dialect text, mount text, verb text) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT facet_of('kind' || E'\n' || tenant || E'\n' || route || E'\n' || dialect || E'\n' || mount || E'\n' || verb)
$$;

CREATE FUNCTION facets_of(tenant text, route text, dialect text, mount text, verb text, resource text, targets text)
    RETURNS SETOF bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT kind_of(tenant, route, dialect, mount, verb)
    UNION SELECT facet_of('resource' || E'\n' || tenant || E'\n' || resource)
    UNION SELECT facet_of('target' || E'\n' || tenant || E'\n' || target)
        FROM unnest(string_to_array(trim(both E'\n' from targets), E'\n')) AS named (target)
$$;

CREATE FUNCTION file_operations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO kinds SELECT DISTINCT kind_of(tenant, route, dialect, mount, verb), tenant, route, dialect, mount, verb
        FROM new_operations ON CONFLICT DO NOTHING;
    INSERT INTO facets SELECT facet, id
        FROM new_operations, facets_of(tenant, route, dialect, mount, verb, resource, targets) AS facet
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE FUNCTION unfile_operations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM facets f USING (
            SELECT facet, id
            FROM old_operations, facets_of(tenant, route, dialect, mount, verb, resource, targets) AS facet
        ) o WHERE f.facet = o.facet AND f.operation = o.id;
    RETURN NULL;
END
$$;

-- From here on no other node accepts anything until the triggers are there: they do not see what came before them.
LOCK TABLE operations IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO kinds SELECT DISTINCT kind_of(tenant, route, dialect, mount, verb), tenant, route, dialect, mount, verb
    FROM operations ON CONFLICT DO NOTHING;
INSERT INTO facets SELECT facet, id
    FROM operations, facets_of(tenant, route, dialect, mount, verb, resource, targets) AS facet;

CREATE TRIGGER operations_filed AFTER INSERT ON operations REFERENCING NEW TABLE AS new_operations
    FOR EACH STATEMENT EXECUTE FUNCTION file_operations();
CREATE TRIGGER operations_unfiled AFTER DELETE ON operations REFERENCING OLD TABLE AS old_operations
    FOR EACH STATEMENT EXECUTE FUNCTION unfile_operations();

ALTER TABLE facets SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0.05);

-- What a search for a text looks at, in small letters. NULL: it was recorded by a version that did not write it; then it is
-- found by its resource and its route.
ALTER TABLE operations ADD COLUMN searched text COLLATE "C";

CREATE INDEX attention_by_target ON attention (tenant, target, id);
