-- The ids of the sealing keys that a node has, that of the one which seals first; empty for a program that knows one key.
ALTER TABLE nodes ADD COLUMN keys text NOT NULL DEFAULT '';
