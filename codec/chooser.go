package codec

// chooser takes for each block the faster of two encoders, unless a sample says that the other one is worth its time: what suits a table often
// does not suit an index.
type chooser struct {
	fast, thorough blockEncoder
	worth          int // by how many per cent the thorough one must make the sample smaller
	trial          []byte
}

// sampleSize is in bytes.
const sampleSize = 64 << 10

func (c *chooser) encode(dst []byte, b *block) ([]byte, error) {
	fast, err := c.prefersFast(b.data())
	switch {
	case err != nil:
		return dst, err
	case fast:
		return c.fast.encode(dst, b)
	}
	return c.thorough.encode(dst, b)
}

// prefersFast tries both on the middle of the data. It depends on the data alone.
func (c *chooser) prefersFast(data []byte) (bool, error) {
	if len(data) < 4*sampleSize {
		return false, nil // too little to be worth a trial
	}
	sample := block{buf: data[(len(data)-sampleSize)/2:][:sampleSize]}
	var err error
	if c.trial, err = c.fast.encode(c.trial[:0], &sample); err != nil {
		return false, err
	}
	fast := len(c.trial)
	if c.trial, err = c.thorough.encode(c.trial[:0], &sample); err != nil {
		return false, err
	}
	return len(c.trial)*100 > fast*(100-c.worth), nil
}
