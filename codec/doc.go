// Package codec compresses and decompresses streams in the formats of PostgreSQL's base backups (gzip, LZ4 frames, Zstandard) and
// understands PostgreSQL's compression specifications.
package codec
