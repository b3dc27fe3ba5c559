-- The table that leafmail stores mail in, for MariaDB 10.2 and MySQL 5.7 and later.
CREATE TABLE IF NOT EXISTS new_mail (
  mail_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  spool_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sender VARCHAR(512) NOT NULL,
  recipient VARCHAR(512) COLLATE utf8mb4_bin NOT NULL,
  received DATETIME NOT NULL,
  date DATETIME NOT NULL,
  `from` MEDIUMTEXT NOT NULL,
  `to` MEDIUMTEXT NOT NULL,
  subject MEDIUMTEXT NOT NULL,
  body LONGTEXT NOT NULL,
  charset VARCHAR(100) NOT NULL,
  content_type VARCHAR(100) NOT NULL,
  mail LONGBLOB NOT NULL,
  hash CHAR(32) NOT NULL,
  spam_score DOUBLE,
  UNIQUE KEY once (spool_id, recipient),
  KEY recipient (recipient, spool_id),
  KEY date (date),
  KEY hash (hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;
