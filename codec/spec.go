package codec

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Spec says how to compress. The zero value stands for no compression, and Spec{Algorithm: a} for a with its defaults.
type Spec struct {
	Algorithm
	// Level is the compression level on PostgreSQL's scale for the algorithm: gzip 1 to 9 or -1, lz4 0 to 12, zstd -131072 to 22.
	// It counts only if LevelSet; ParseSpec fills in the default otherwise.
	Level    int
	LevelSet bool
	// Workers is the number of blocks compressed at the same time. It counts only if WorkersSet; the default is all processors.
	// Zero and negative numbers are taken as 1.
	Workers    int
	WorkersSet bool
	// Long asks zstd to look for repetitions over a longer distance, at the price of memory.
	Long bool
}

// DefaultLevel is the level used when none is given. For gzip it is -1, which zlib takes as 6.
func (a Algorithm) DefaultLevel() int {
	switch a {
	case Gzip:
		return -1
	case Zstd:
		return 3
	}
	return 0
}

// level is the level in force.
func (s Spec) level() int {
	if s.LevelSet {
		return s.Level
	}
	return s.DefaultLevel()
}

// Location says where -Z wants the compression done.
type Location int

const (
	Unspecified Location = iota
	Client
	Server
)

func (l Location) String() string {
	switch l {
	case Unspecified:
		return "unspecified"
	case Client:
		return "client"
	case Server:
		return "server"
	}
	return fmt.Sprintf("Location(%d)", int(l))
}

// ParseOption takes the value of -Z/--compress apart: [{client|server}-]METHOD[:DETAIL], or a bare integer, where 0 stands for "none"
// and any other for gzip with that level. It judges neither the method nor the detail: with Server these are for the server to judge,
// and with Client for ParseSpec. hasDetail tells "gzip:", whose detail is empty and therefore wrong, from "gzip".
//
// It follows backup_parse_compress_options of PostgreSQL 18, where an empty value means "none". Up to 15, 0 and the empty value were errors.
func ParseOption(option string) (location Location, algorithm, detail string, hasDetail bool) {
	if rest, ok := strings.CutPrefix(option, "server-"); ok {
		location, option = Server, rest
	} else if rest, ok := strings.CutPrefix(option, "client-"); ok {
		location, option = Client, rest
	}
	if option == "" {
		return location, None.String(), "", false
	}
	if n, ok := parseInt(option); ok {
		if n == 0 {
			return location, None.String(), "", false
		}
		return location, Gzip.String(), option, true
	}
	algorithm, detail, hasDetail = strings.Cut(option, ":")
	return location, algorithm, detail, hasDetail
}

// ParseSpec reads a compression specification as PostgreSQL 18 does for compression by the client (src/common/compression.c), and
// checks it. An empty detail means that none was given; see ParseDetail for one that was given and may be empty. Its errors read as
// pg_basebackup prints them after "error: ".
func ParseSpec(algorithm, detail string) (Spec, error) {
	a, err := ParseAlgorithm(algorithm)
	if err != nil {
		return Spec{}, err
	}
	if detail == "" {
		return Spec{Algorithm: a, Level: a.DefaultLevel()}, nil
	}
	return ParseDetail(a, detail)
}

// ParseDetail reads what follows the colon in METHOD:DETAIL: a bare level, or options separated by commas (level=N, workers=N,
// long[=BOOLEAN]), of which the last one of a name counts. Its errors are those of ParseSpec.
//
// Numbers beyond the range of a C int are taken as the end of that range, where PostgreSQL cuts off their upper bits.
func ParseDetail(a Algorithm, detail string) (Spec, error) {
	p := specParser{spec: Spec{Algorithm: a, Level: a.DefaultLevel()}}
	err := p.parse(detail)
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return Spec{}, fmt.Errorf("invalid compression specification: %w", err)
	}
	return p.spec, nil
}

type specParser struct {
	spec    Spec
	longSet bool // long=off is set too, and as wrong for gzip as long=on
}

func (p *specParser) parse(detail string) error {
	if n, ok := parseInt(detail); ok {
		p.spec.Level, p.spec.LevelSet = n, true
		return nil
	}
	for more := true; more; {
		var option string
		option, detail, more = strings.Cut(detail, ",")
		if err := p.option(option); err != nil {
			return err
		}
	}
	return nil
}

func (p *specParser) option(option string) (err error) {
	name, value, hasValue := strings.Cut(option, "=")
	switch name {
	case "":
		return fmt.Errorf("found empty string where a compression option was expected")
	case "level":
		p.spec.LevelSet = true
		p.spec.Level, err = intOption(name, value, hasValue)
	case "workers":
		p.spec.WorkersSet = true
		p.spec.Workers, err = intOption(name, value, hasValue)
	case "long":
		p.longSet = true
		p.spec.Long, err = boolOption(name, value, hasValue)
	default:
		return fmt.Errorf("unrecognized compression option: \"%s\"", name)
	}
	return err
}

func (p *specParser) check() error {
	s := p.spec
	if err := s.checkLevel(); err != nil {
		return err
	}
	if s.WorkersSet && s.Algorithm != Zstd {
		return fmt.Errorf("compression algorithm \"%s\" does not accept a worker count", s.Algorithm)
	}
	if p.longSet && s.Algorithm != Zstd {
		return fmt.Errorf("compression algorithm \"%s\" does not support long-distance mode", s.Algorithm)
	}
	return nil
}

func (s Spec) checkLevel() error {
	lo, hi := 1, 0
	switch s.Algorithm {
	case None:
		if s.level() != 0 {
			return fmt.Errorf("compression algorithm \"%s\" does not accept a compression level", s.Algorithm)
		}
	case Gzip:
		hi = 9
	case LZ4:
		hi = 12
	case Zstd:
		lo, hi = -131072, 22
	}
	if level := s.level(); (level < lo || level > hi) && level != s.DefaultLevel() {
		return fmt.Errorf("compression algorithm \"%s\" expects a compression level between %d and %d (default at %d)",
			s.Algorithm, lo, hi, s.DefaultLevel())
	}
	return nil
}

func intOption(name, value string, hasValue bool) (int, error) {
	if !hasValue {
		return 0, fmt.Errorf("compression option \"%s\" requires a value", name)
	}
	n, ok := parseInt(value)
	if !ok {
		return 0, fmt.Errorf("value for compression option \"%s\" must be an integer", name)
	}
	return n, nil
}

func boolOption(name, value string, hasValue bool) (bool, error) {
	if !hasValue {
		return true, nil
	}
	switch strings.ToLower(value) {
	case "yes", "on", "1":
		return true, nil
	case "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("value for compression option \"%s\" must be a Boolean value", name)
}

// parseInt accepts what strtol(3) reads to the end: white space and a sign may come first. It saturates at the range of a C int.
func parseInt(s string) (int, bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil { // out of range: ParseInt saturates, too
		if s[0] == '-' {
			return math.MinInt32, true
		}
		return math.MaxInt32, true
	}
	return int(n), true
}
