package codec

// chooser takes for each block the faster of two encoders, unless a sample says that the other one is worth its time: what suits a table often
// does not suit an index.
type chooser struct {
	fast, thorough blockEncoder
	worth          int // by how many per cent the thorough one must make the sample smaller
	trial          []byte
}

const (
	// sampleSize is in bytes. Four times as much takes 8 % longer and makes tables and most indexes no smaller.
	sampleSize = 16 << 10
	// largeSample is for blocks that the fast encoder makes less than half: there may be repetitions that are too far apart for it and for a small
	// sample, as in an index of few values.
	largeSample = 64 << 10
)

func (c *chooser) encode(dst []byte, b *block) ([]byte, error) {
	thorough, err := c.prefersThorough(b.data(), sampleSize)
	if err != nil {
		return dst, err
	}
	if !thorough {
		out, err := c.fast.encode(dst, b)
		if err != nil || 2*(len(out)-len(dst)) <= len(b.data()) {
			return out, err
		}
		if thorough, err = c.prefersThorough(b.data(), largeSample); err != nil || !thorough {
			return out, err
		}
	}
	return c.thorough.encode(dst, b)
}

// prefersThorough tries both on the middle of the data. It depends on the data alone.
func (c *chooser) prefersThorough(data []byte, size int) (bool, error) {
	if len(data) < 4*size {
		return true, nil // too little to be worth a trial
	}
	sample := block{buf: data[(len(data)-size)/2:][:size]}
	var err error
	if c.trial, err = c.fast.encode(c.trial[:0], &sample); err != nil {
		return false, err
	}
	fast := len(c.trial)
	if c.trial, err = c.thorough.encode(c.trial[:0], &sample); err != nil {
		return false, err
	}
	return len(c.trial)*100 <= fast*(100-c.worth), nil
}
