package prove

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// maintenance are the databases that a cluster usually has.
var maintenance = []string{"postgres", "template1"}

// SQLSTATEs of refused connections.
const (
	codeStarting        = "57P03" // cannot_connect_now
	codeNoDatabase      = "3D000" // invalid_catalog_name
	codeDatabaseRefuses = "55000" // the database takes no connections
)

var errStarting = errors.New("the server is starting")

// findSuperuser finds a superuser who can log in and a database to log in to: the
// one that the caller named, "postgres", or one that pg_authid's file tells.
// errStarting means that it is too early.
func (s *Server) findSuperuser(ctx context.Context, given string) error {
	candidates := []string{given}
	if given == "" {
		candidates = append([]string{"postgres"}, readSuperusers(s.scratch.data(), int(s.control.BlockSize), int(s.control.NameDataLen))...)
	}
	var refusals []error
	for _, user := range candidates {
		database, err := s.login(ctx, user)
		if err == nil {
			s.user, s.database = user, database
			return nil
		}
		if errors.Is(err, errStarting) || ctx.Err() != nil {
			return err
		}
		refusals = append(refusals, err)
	}
	return fmt.Errorf("could not log in as a superuser: %w", refusals[0])
}

// login finds a database that user can log in to as a superuser.
func (s *Server) login(ctx context.Context, user string) (database string, err error) {
	var first error
	for _, database := range maintenance {
		conn, err := s.connect(ctx, user, database)
		if err != nil {
			var refusal *pgconn.PgError
			if !errors.As(err, &refusal) {
				return "", err
			}
			switch refusal.Code {
			case codeStarting:
				return "", errStarting
			case codeNoDatabase, codeDatabaseRefuses:
				if first == nil {
					first = err
				}
				continue
			}
			return "", err
		}
		defer conn.Close(ctx)
		if conn.ParameterStatus("is_superuser") != "on" {
			return "", fmt.Errorf("role \"%s\" is not a superuser", user)
		}
		return database, nil
	}
	return "", first
}

// readSuperusers looks for superusers in the heap of pg_authid, where clusters
// that were made with another name than "postgres" have theirs. The rows may be
// dead or not yet committed: what is found are candidates, at most maxRoles.
func readSuperusers(dataDir string, blockSize, nameLen int) []string {
	const authID, maxRoles, maxBlocks = 1260, 20, 10000
	node := mappedFile(filepath.Join(dataDir, "global", "pg_filenode.map"), authID)
	if node == 0 || blockSize < 512 || blockSize > 1<<16 || nameLen < 1 || nameLen > 1<<12 {
		return nil
	}
	f, err := os.Open(filepath.Join(dataDir, "global", strconv.FormatUint(uint64(node), 10)))
	if err != nil {
		return nil
	}
	defer f.Close()
	var names []string
	page := make([]byte, blockSize)
	for range maxBlocks {
		if _, err := io.ReadFull(f, page); err != nil {
			break
		}
		for _, name := range superusersOnPage(page, nameLen) {
			if !slices.Contains(names, name) && len(names) < maxRoles {
				names = append(names, name)
			}
		}
	}
	return names
}

// mappedFile looks a relation up in a relation map (relmapper.c): the number of
// its file, 0 if it is not there.
func mappedFile(path string, oid uint32) uint32 {
	const magic, header, entry = 0x592717, 8, 8
	b, err := os.ReadFile(path)
	if err != nil || len(b) < header || binary.LittleEndian.Uint32(b) != magic {
		return 0
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	for i := range min(n, (len(b)-header)/entry) {
		at := b[header+i*entry:]
		if binary.LittleEndian.Uint32(at) == oid {
			return binary.LittleEndian.Uint32(at[4:])
		}
	}
	return 0
}

// superusersOnPage returns the names of superusers who may log in (bufpage.h,
// htup_details.h, pg_authid.h): the columns up to rolcanlogin have fixed places.
// Up to 11 the OID is not a column.
func superusersOnPage(page []byte, nameLen int) []string {
	const pageHeader, itemSize, tupleHeader, lowerAt = 24, 4, 23, 12
	const normal = 1 // of an item's flags
	const hasOID = 0x0008
	lower := int(binary.LittleEndian.Uint16(page[lowerAt:]))
	var names []string
	for at := pageHeader; at+itemSize <= min(lower, len(page)); at += itemSize {
		item := binary.LittleEndian.Uint32(page[at:])
		start, flags, length := int(item&0x7fff), item>>15&3, int(item>>17)
		if flags != normal || length < tupleHeader || start+length > len(page) {
			continue
		}
		tuple := page[start : start+length]
		columns := int(tuple[22])
		if binary.LittleEndian.Uint16(tuple[20:])&hasOID == 0 {
			columns += 4
		}
		if columns+nameLen+5 > length {
			continue
		}
		name, rest := tuple[columns:columns+nameLen], tuple[columns+nameLen:]
		super, canLogin := rest[0] == 1, rest[4] == 1
		if end := bytes.IndexByte(name, 0); end > 0 && super && canLogin {
			names = append(names, string(name[:end]))
		}
	}
	return names
}
