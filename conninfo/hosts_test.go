package conninfo

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestHostsAreSplit(t *testing.T) {
	for _, c := range []struct {
		dsn  string
		want []Host
	}{
		{"host=a", []Host{{Host: "a", Port: "5432"}}},
		{"host=a,b port=7", []Host{{Host: "a", Port: "7"}, {Host: "b", Port: "7"}}},
		{"host=a,b port=1,", []Host{{Host: "a", Port: "1"}, {Host: "b", Port: "5432"}}},
		{"host=/run/pg,@abstract,b", []Host{{Host: "/run/pg", Port: "5432", Socket: true}, {Host: "@abstract", Port: "5432", Socket: true}, {Host: "b", Port: "5432"}}},
		{"hostaddr=10.0.0.1", []Host{{Addr: "10.0.0.1", Port: "5432"}}},
		{"host=a,b hostaddr=10.0.0.1,", []Host{{Host: "a", Addr: "10.0.0.1", Port: "5432"}, {Host: "b", Port: "5432"}}},
		{"host=/x hostaddr=10.0.0.1", []Host{{Host: "/x", Addr: "10.0.0.1", Port: "5432"}}},
	} {
		if runtime.GOOS == "windows" && strings.Contains(c.dsn, "/run") {
			continue
		}
		got, warnings, err := resolve(t, c.dsn, nil).Hosts("replication")
		if err != nil || len(warnings) != 0 || !slices.Equal(got, c.want) {
			t.Errorf("Hosts of %q = %+v, %v, %v; want %+v", c.dsn, got, warnings, err, c.want)
		}
	}
}

func TestDefaultHostIsTheDirectoryWithTheSocket(t *testing.T) {
	old := socketDirs
	t.Cleanup(func() { socketDirs = old })
	first, second := t.TempDir(), t.TempDir()
	socketDirs = []string{first, second}
	write(t, Host{Host: second, Port: "77"}.SocketPath(), "", 0o600)

	for port, want := range map[string]string{"77": second, "78": first} {
		hosts, _, err := resolve(t, "port="+port, nil).Hosts("replication")
		if err != nil || len(hosts) != 1 || hosts[0].Host != want || !hosts[0].Socket {
			t.Errorf("port %s: %+v, %v; want %s", port, hosts, err, want)
		}
	}
	socketDirs = nil
	hosts, _, err := resolve(t, "", nil).Hosts("replication")
	if err != nil || hosts[0].Host != "localhost" || hosts[0].Socket {
		t.Errorf("without sockets: %+v, %v", hosts, err)
	}
}

func TestPasswordFile(t *testing.T) {
	dir := t.TempDir()
	const lines = "# comment:*:*:*:no\n" +
		"\n" +
		"short:5432\n" +
		"db1:5432:otherdb:u:no\n" +
		"db1:5432:replication:u:one\n" +
		"db1:*:*:*:later\r\n" +
		`colon\:host:5432:*:u:p\:q\\r` + "\n" +
		"spaces:5432:*:u: s p \n" +
		"fields:5432:*:u:five:six\n" +
		"localhost:5432:*:u:local\n" +
		"/elsewhere:5432:*:u:socket\n" +
		"10.0.0.1:5432:*:u:addr\n" +
		"empty:5432:*:u:\n" +
		"*:*:*:v:any"
	file := write(t, filepath.Join(dir, "pass"), lines, 0o600)
	old := socketDirs
	t.Cleanup(func() { socketDirs = old })
	socketDirs = []string{"/default"}

	for _, c := range []struct{ dsn, want string }{
		{"host=db1 user=u", "one"},
		{"host=db1 user=u port=1", "later"},
		{"host=db1 user=w", "later"},
		{"host=colon:host user=u", `p:q\r`},
		{"host=spaces user=u", " s p "},
		{"host=fields user=u", "five"},
		{"host=localhost user=u", "local"},
		{"host=/default user=u", "local"},
		{"host=/elsewhere user=u", "socket"},
		{"hostaddr=10.0.0.1 user=u", "addr"},
		{"host=db1 hostaddr=10.0.0.1 user=u", "one"},
		{"host=empty user=u", ""},
		{"host=nowhere user=u", ""},
		{"host=nowhere user=v", "any"},
		{"host=db1,nowhere,localhost user=u", "one||local"},
		{"host=db1 user=u password=given", "given"},
	} {
		if runtime.GOOS == "windows" && strings.Contains(c.dsn, "/") {
			continue
		}
		hosts, warnings, err := resolve(t, c.dsn+" passfile="+Quote(file), nil).Hosts("replication")
		if err != nil || len(warnings) != 0 {
			t.Errorf("%q: %v, %v", c.dsn, warnings, err)
			continue
		}
		var got []string
		for _, h := range hosts {
			got = append(got, h.Password)
			if h.FromFile != (h.Password != "" && h.Password != "given") {
				t.Errorf("%q: FromFile = %v", c.dsn, h.FromFile)
			}
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%q: %q, want %q", c.dsn, got, c.want)
		}
	}
}

func TestPasswordFileOfOthersIsIgnored(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("file modes say nothing on Windows")
		return
	}
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "pass"), "*:*:*:*:secret\n", 0o640)
	hosts, warnings, err := resolve(t, "host=a,b user=u passfile="+Quote(file), nil).Hosts("replication")
	if err != nil {
		t.Fatal(err)
	}
	want := `password file "` + file + `" has group or world access; permissions should be u=rw (0600) or less`
	if len(warnings) != 1 || warnings[0] != want {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
	if hosts[0].Password != "" || hosts[1].Password != "" {
		t.Error("the file is used")
	}

	_, warnings, err = resolve(t, "host=a user=u passfile="+Quote(dir), nil).Hosts("replication")
	if err != nil || len(warnings) != 1 || warnings[0] != `password file "`+dir+`" is not a plain file` {
		t.Errorf("a directory: %q, %v", warnings, err)
	}
	_, warnings, err = resolve(t, "host=a user=u passfile="+Quote(dir+"/none"), nil).Hosts("replication")
	if err != nil || len(warnings) != 0 {
		t.Errorf("no file: %q, %v", warnings, err)
	}
}
