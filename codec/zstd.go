package codec

const (
	// zstdBlock is the content of one frame, and with it the distance over which repetitions are found. Compared with 512 KiB, 400 MB of
	// tables and indexes become 0.2 % smaller and the many small files of the catalogs 2 %. 4 MiB make no difference to tables, 1 % to catalogs, and take
	// 44 MiB of memory with two workers instead of 25, for tables alone.
	zstdBlock = 2 << 20
	// zstdLongBlock is the same for long-distance mode.
	zstdLongBlock = 8 << 20
	// zstdBoundary is the part of a block that a frame holds at least which a member's beginning ends. Catalogs are 0.5 % larger for it, tables 0.01 %;
	// frames have 640 KiB of the catalogs then.
	zstdBoundary = 4
	zstdChecksum = 4
)

// zstdFormat writes frames one after the other, each with a checksum of its content (RFC 8878, section 3). Frames are what can be compressed
// in parallel: the zstd package's own concurrency hardly uses a second processor for one frame, and its concurrent blocks take a third
// more CPU than frames and allocate all the time.
func zstdFormat(s Spec) format {
	level := s.level()
	if level == 0 { // as in libzstd
		level = Zstd.DefaultLevel()
	}
	size := zstdBlock
	if s.Long {
		size = zstdLongBlock
	}
	return format{
		blockSize: size,
		boundary:  size / zstdBoundary,
		hold:      zstdChecksum,
		table:     &seekTable{limit: seekMaxFrames},
		encoder:   func() (blockEncoder, error) { return newZstdEncoder(level, size) },
	}
}
