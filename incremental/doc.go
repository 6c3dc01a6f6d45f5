// Package incremental reads the files that an incremental backup (17 and later)
// has in place of relation files of which only some blocks changed.
//
// Such a file is named after the relation file with INCREMENTAL. in front. Its
// layout is in src/backend/backup/basebackup_incremental.c of the server: little-endian
// uint32s for a magic number, the number of blocks n, the truncation block length and n
// block numbers, padded with zeroes to a multiple of the block size if n is not 0; then
// the n blocks.
package incremental
