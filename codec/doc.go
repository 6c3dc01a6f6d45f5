// Package codec compresses and decompresses streams in the formats of PostgreSQL's base backups (gzip, LZ4 frames, Zstandard), and
// understands PostgreSQL's compression specifications.
//
// What it writes any tool for the format reads: gzip is one member, LZ4 one frame with a checksum of each block, Zstandard a sequence of
// frames with a checksum each. The bytes written depend on the input, the Spec's level and the calls of Flush and Boundary,
// not on the number of workers or on how the input was split into writes. The member of gzip is in sections, which only a Reader knows of (sections.go).
//
// # Random access
//
// Zstandard's frames hold 2 MiB of content, 8 MiB in long-distance mode, or less: a frame ends where Boundary says that a member of a tar begins, if
// it holds a quarter of that. If Boundary was called, their sizes are listed at the end in zstd's seekable format, so that a Seekable decompresses what is asked
// for and little else. Other streams, such as segments of WAL, are read whole and get no table. It is a frame that readers skip, and is written together with the end of the last frame: a stream that a Writer did not finish ends inside a frame, and one that
// lacks the table alone lacks nothing else.
//
// # Memory
//
// A Writer holds workers+2 blocks of input and output and one encoder for each worker, allocates them as the stream grows and nothing
// after that, but for the seek table: 8 bytes for a frame, up to twice that while it grows, 4 to 8 MB for a terabyte. In MiB:
//
//	                      1 worker   2 workers   each further
//	gzip 6                      11          16              5
//	gzip, other levels          10          14              4
//	lz4                          6           8              2
//	zstd 1 and 2                14          21              7
//	zstd 3 to 9                 21          33             13
//	zstd from 10 on             49          90             42
//	zstd, long, level 3         59          86             27
//
// A Reader holds 1 MiB and what the format asks for: nothing more for gzip that was written by others, twice the block size for LZ4 (at most 4 MiB,
// and 8 MiB in the legacy format). A Writer's gzip is decompressed on all processors, 8 at most: that takes about 2 MiB for each and for two
// more, 3 MiB if there is nothing to compress, 4 MiB if the stream is made to take it. On one processor it is like any other gzip.
//
// For Zstandard, frames that say that their content has up to 2 MiB, as a Writer's have, are decompressed on all processors, 8 at most:
// that takes about 3 MiB for each and for two more, 4 MiB if nothing can be compressed, 6 MiB if the frames are made to take it. A larger frame takes its
// window, which is refused if it is larger than 128 MiB, and is decompressed by one processor, as are other gzip and LZ4.
package codec
