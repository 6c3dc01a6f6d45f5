package codec

const (
	// zstdBlock is the content of one frame, and with it the distance over which repetitions are found. PostgreSQL's tables gain
	// little from more: 0.5 % at 4 MiB.
	zstdBlock = 512 << 10
	// zstdLongBlock is the same for long-distance mode.
	zstdLongBlock = 8 << 20
	zstdChecksum  = 4
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
		hold:      zstdChecksum,
		encoder:   func() (blockEncoder, error) { return newZstdEncoder(level, size) },
	}
}
