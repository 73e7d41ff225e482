-- The operation that this one retries; it is retried once.
ALTER TABLE operations ADD COLUMN retry_of BLOB;
CREATE UNIQUE INDEX operations_by_retry ON operations (tenant, retry_of) WHERE retry_of IS NOT NULL;
