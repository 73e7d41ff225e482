-- What an operation is doing while it executes, for lists; NULL before and after. Few have one at a time, so the index is small.
-- A node of the version before does not write it: what that one changes is found by its phase again after the next change by
-- another node.
ALTER TABLE operations ADD COLUMN phase text COLLATE "C";
CREATE INDEX operations_by_phase ON operations (tenant, phase, id) WHERE phase IS NOT NULL;
