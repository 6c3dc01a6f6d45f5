package codec

// format is what a Writer has to know about one compressed format.
type format struct {
	blockSize int                          // bytes of input in every block but the last and those that Flush or Boundary ends
	boundary  int                          // least bytes of input in a block that Boundary ends
	encoder   func() (blockEncoder, error) // called once for each worker
	header    []byte
	// hold is how many bytes at the end of each compressed block are held back until there is more to write. A format that readers take for whole
	// without its trailer needs it, because a stream that was cut off between two blocks would look so.
	hold    int
	sum     checksum // of the whole input; nil if the format has none
	trailer func(sum checksum, size int64) []byte
	table   *seekTable // lists the blocks; nil if they cannot be decompressed one without the other
}

// blockEncoder compresses blocks which refer to nothing before them, so that several encoders can work on one stream.
type blockEncoder interface {
	// encode appends the compressed form of b's data to dst.
	encode(dst []byte, b *block) ([]byte, error)
}

type checksum interface {
	Write(p []byte) (int, error)
	Sum32() uint32
}

// block is a piece of the input on its way through a Writer. Blocks are reused.
type block struct {
	buf   []byte
	first bool // of the stream
	last  bool // of the stream; may be empty
	flush bool // nothing of it is held back; may be empty
	out   []byte
	err   error
	done  chan struct{} // receives when out and err are set
}

func (b *block) data() []byte { return b.buf }

// appender is an io.Writer for encoders that want one.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}
