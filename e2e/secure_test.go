//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A service file with certificates and a password file reach a server that
// wants a client certificate, SCRAM and TLS from both connections.
func TestServiceFileCertificatesAndPasswordFile(t *testing.T) {
	onMajors(t, []int{12, 15, 18}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major, pgtest.TLS(pgtest.TLSConfig{User: "secure"}), pgtest.Setting("password_encryption", "scram-sha-256"),
			pgtest.HBA("hostssl replication secure 127.0.0.1/32 scram-sha-256 "+map[bool]string{true: "clientcert=verify-full", false: "clientcert=1"}[major >= 12],
				"host replication all all reject"))
		s.ReplicationUser(t, "secure", `pass:word\`)
		c := s.Certificates()
		home := pgtest.TempDir(t)
		write := func(name, text string) string {
			path := filepath.Join(home, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		service := func(name, root, more string) string {
			return fmt.Sprintf("[%s]\nhost=localhost\nhostaddr=127.0.0.1\nport=%d\nuser=secure\nsslmode=verify-full\nsslrootcert=%s\n%s\n", name, s.Port(), root, more)
		}
		certificate := "sslcert=" + c.ClientCert + "\nsslkey=" + c.ClientKey
		services := write("services", "# for backups\n"+service("backup", c.Root, certificate+"\nchannel_binding=require")+
			service("other_root", c.OtherRoot, certificate)+service("no_certificate", c.Root, ""))
		passwords := write("passwords", "# host:port:database:user:password\nlocalhost:*:postgres:secure:wrong\n"+
			fmt.Sprintf(`localhost:%d:replication:secure:pass\:word\\`, s.Port())+"\n")
		env := []string{"PGSERVICEFILE=" + services, "PGPASSFILE=" + passwords}
		for _, method := range []string{"fetch", "stream"} {
			t.Run(method, func(t *testing.T) {
				dir := filepath.Join(home, method)
				p := &program{path: pgBasebackup, env: env, args: []string{"-d", "service=backup", "-w", "-cfast", "-N", "-D", dir, "-X", method, "-R"}}
				p.run(t).quiet(t)
				conf, err := os.ReadFile(filepath.Join(dir, "postgresql.auto.conf"))
				if err != nil {
					t.Fatal(err)
				}
				for _, word := range []string{"verify-full", c.Root, c.ClientCert} {
					if !strings.Contains(string(conf), word) {
						t.Errorf("what -R wrote lacks %s:\n%s", word, conf)
					}
				}
				// The standby's user has no service file.
				if strings.Contains(string(conf), "service=") {
					t.Errorf("what -R wrote needs a service file:\n%s", conf)
				}
				// Without what makes it a standby it starts as it is.
				if err := os.Remove(filepath.Join(dir, "standby.signal")); err != nil {
					t.Fatal(err)
				}
				restored := pgtest.StartDir(t, major, dir)
				defer restored.Kill()
				pgtest.SameSums(t, pgtest.Sums(t, restored), pgtest.Sums(t, s))
			})
		}
		for _, f := range []struct {
			name, conninfo string
			env            []string
			word           string
		}{
			{"certificate of another root", "service=other_root", env, "certificate"},
			{"no certificate", "service=no_certificate", env, "certificate"},
			{"no TLS", "service=backup sslmode=disable channel_binding=prefer", env, "pg_hba.conf"},
			{"other name", "service=backup host=example.invalid", env, "example.invalid"},
			{"unknown service", "service=unknown", env, `"unknown"`},
			{"wrong password", "service=backup password=wrong", env, "password authentication failed"},
			{"password file that others can read", "service=backup", []string{env[0], "PGPASSFILE=" + filepath.Join(home, "open")}, "password"},
		} {
			t.Run(f.name, func(t *testing.T) {
				if strings.HasPrefix(f.name, "password file") {
					text, err := os.ReadFile(passwords)
					if err != nil {
						t.Fatal(err)
					}
					if err := os.Chmod(write("open", string(text)), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				p := newPlace(t, false)
				(&program{path: pgBasebackup, env: f.env, args: []string{"-d", f.conninfo, "-w", "-cfast", "-D", p.dir}}).run(t).failed(t, f.word)
				p.unchanged(t)
			})
		}
	})
}
