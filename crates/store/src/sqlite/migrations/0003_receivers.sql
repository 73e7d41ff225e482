-- Who gets a notice: host and port. Those that were recorded before all go to http://ADDRESS:PORT/...
ALTER TABLE notices ADD COLUMN receiver TEXT NOT NULL DEFAULT '';
UPDATE notices SET receiver = substr(url, 8, instr(substr(url, 8), '/') - 1);

CREATE INDEX notices_by_receiver ON notices (receiver, due_at, number) WHERE state = 'pending';
-- How the outbox is doing: the oldest that waits, and how many were given up.
CREATE INDEX notices_waiting ON notices (created_at) WHERE state = 'pending';
CREATE INDEX notices_dead ON notices (number) WHERE state = 'dead';
