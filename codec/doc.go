// Package codec compresses and decompresses streams in the formats of PostgreSQL's base backups (gzip, LZ4 frames, Zstandard), and
// understands PostgreSQL's compression specifications.
//
// What it writes any tool for the format reads: gzip is one member, LZ4 one frame with a checksum of the content, Zstandard a sequence of
// frames with a checksum each. The bytes written depend on the input and the Spec's level alone, not on the number of workers or on how
// the input was split into writes.
//
// # Memory
//
// A Writer holds workers+2 blocks of input and output and one encoder for each worker, allocates them as the stream grows and nothing
// after that. In MiB for the whole Writer:
//
//	                 block   encoder   2 workers   each further
//	gzip                 1       1.1          11              3
//	lz4                  1       0.1           9              2
//	zstd up to 5       0.5       2.9          10              4
//	zstd 6 to 9        0.5       5            15              6
//	zstd from 10 on    0.5        37          80             38
//	long                 8     as above+8    +75            +24
//
// A Reader holds 1 MiB and what the format asks for: 64 KiB for gzip, twice the block size for LZ4 (at most 4 MiB, and 8 MiB in the legacy
// format), the window for Zstandard, which is refused if it is larger than 128 MiB.
package codec
