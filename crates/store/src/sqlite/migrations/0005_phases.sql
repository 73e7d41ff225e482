-- What an operation is doing while it executes, for lists; NULL before and after. Few have one at a time, so the index is small.
ALTER TABLE operations ADD COLUMN phase TEXT;
CREATE INDEX operations_by_phase ON operations (tenant, phase, id) WHERE phase IS NOT NULL;
