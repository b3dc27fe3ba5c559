-- The table that leafmail stores mail in, for PostgreSQL 9.5 and later; the encoding of the database must be UTF8.
CREATE TABLE IF NOT EXISTS new_mail (
  mail_id BIGSERIAL PRIMARY KEY,
  spool_id TEXT NOT NULL,
  sender TEXT NOT NULL,
  recipient TEXT NOT NULL,
  received TIMESTAMP NOT NULL,
  date TIMESTAMP NOT NULL,
  "from" TEXT NOT NULL,
  "to" TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  charset TEXT NOT NULL,
  content_type TEXT NOT NULL,
  mail BYTEA NOT NULL,
  hash TEXT NOT NULL,
  spam_score DOUBLE PRECISION,
  UNIQUE (spool_id, recipient)
);
CREATE INDEX IF NOT EXISTS new_mail_recipient ON new_mail (recipient, spool_id);
CREATE INDEX IF NOT EXISTS new_mail_date ON new_mail (date);
CREATE INDEX IF NOT EXISTS new_mail_hash ON new_mail (hash);
