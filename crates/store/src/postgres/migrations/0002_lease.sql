-- For how long a node may go on when it cannot reach the database, in microseconds. A program that does not say it has 10 s,
-- unless it is told otherwise on all nodes.
ALTER TABLE nodes ADD COLUMN lease bigint NOT NULL DEFAULT 10000000;
