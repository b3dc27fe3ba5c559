-- The table that leafmail stores mail in, for SQLite 3.24 and later. leafmail makes it by itself where it is not there.
CREATE TABLE IF NOT EXISTS new_mail (
  mail_id INTEGER PRIMARY KEY AUTOINCREMENT,
  spool_id TEXT NOT NULL,
  sender TEXT NOT NULL,
  recipient TEXT NOT NULL,
  received TEXT NOT NULL,
  date TEXT NOT NULL,
  "from" TEXT NOT NULL,
  "to" TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  charset TEXT NOT NULL,
  content_type TEXT NOT NULL,
  mail BLOB NOT NULL,
  hash TEXT NOT NULL,
  spam_score REAL,
  UNIQUE (spool_id, recipient)
);
CREATE INDEX IF NOT EXISTS new_mail_recipient ON new_mail (recipient, spool_id);
CREATE INDEX IF NOT EXISTS new_mail_date ON new_mail (date);
CREATE INDEX IF NOT EXISTS new_mail_hash ON new_mail (hash);
