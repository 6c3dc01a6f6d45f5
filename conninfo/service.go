package conninfo

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxServiceLine is the length of a line, with its newline, that libpq refuses.
const maxServiceLine = 1023

// addService fills in what the service that is asked for says. The parser is
// our own because jackc/pgservicefile accepts keywords that libpq refuses and
// reads on after the first section of a name.
func (s *Settings) addService(lookup Lookup) error {
	name := s.Value("service")
	if name == "" {
		var ok bool
		if name, ok = lookup.get("PGSERVICE"); !ok {
			return nil
		}
	}

	if file, ok := lookup.get("PGSERVICEFILE"); ok {
		found, err := s.readServiceFile(file, name)
		if found || err != nil {
			return err
		}
	} else if dir, ok := configDir(lookup); ok {
		file := filepath.Join(dir.dir, serviceFileName)
		if _, err := os.Stat(file); err == nil {
			found, err := s.readServiceFile(file, name)
			if found || err != nil {
				return err
			}
		}
	}

	dirs := serviceDirs
	if dir, ok := lookup.get("PGSYSCONFDIR"); ok {
		dirs = []string{dir}
	}
	for _, dir := range dirs {
		file := filepath.Join(dir, "pg_service.conf")
		if _, err := os.Stat(file); err != nil {
			continue
		}
		found, err := s.readServiceFile(file, name)
		if found || err != nil {
			return err
		}
	}
	return fmt.Errorf("definition of service \"%s\" not found", name)
}

func (s *Settings) readServiceFile(path, service string) (found bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("service file \"%s\" not found", path)
	}
	defer f.Close()
	return s.parseService(f, path, service)
}

func (s *Settings) parseService(r io.Reader, path, service string) (found bool, err error) {
	in := bufio.NewReaderSize(r, maxServiceLine+1)
	for number := 1; ; number++ {
		raw, err := in.ReadSlice('\n')
		if len(raw) >= maxServiceLine {
			return found, fmt.Errorf("line %d too long in service file \"%s\"", number, path)
		}
		if err != nil && err != io.EOF {
			return found, fmt.Errorf("could not read service file \"%s\": %w", path, err)
		}
		line := strings.Trim(string(raw), " \t\n\v\f\r")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			if found {
				return true, nil
			}
			found = strings.HasPrefix(line[1:], service+"]")
		case found:
			key, value, ok := strings.Cut(line, "=")
			if ok && key == "service" {
				return found, fmt.Errorf("nested service specifications not supported in service file \"%s\", line %d", path, number)
			}
			if !ok || !Known(key) {
				return found, fmt.Errorf("syntax error in service file \"%s\", line %d", path, number)
			}
			if _, set := s.values[key]; !set {
				s.values[key] = setting{value, Service}
			}
		}
		if err == io.EOF {
			return found, nil
		}
	}
}
