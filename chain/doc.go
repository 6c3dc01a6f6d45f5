// Package chain reads several backups, a full one and the incremental ones that
// follow it, as one full backup.
//
// Each block of a file is that of the newest backup which has it: the block of
// an incremental file, or else, if it lies before the file's truncation block
// length, the block of the next older version, or zeroes if that has none. This
// holds at every link of the chain: blocks that were cut off in between never
// come back. (pg_combinebackup looks at the newest truncation block length
// alone.) Of a whole file whose size is no multiple of the block size only the
// whole blocks count.
//
// Visibility maps that came as incremental files become zeroes, which mark nothing: see
// incremental.VisibilityMap.
//
// Each file is compared with the manifest of the backup that it is in, also
// those that contribute nothing.
//
// When all backups are data directories each file is put together by itself, by
// several goroutines if the caller likes. As soon as one of them is in tars, each
// backup is read once from beginning to end, the newest first: whole files go out
// at once, and what is known of the others waits in a temporary file until the
// whole version passes. No backup is unpacked anywhere, and memory does not grow
// with the size of files.
package chain
