package conninfo

import (
	"path/filepath"
	"testing"
)

// The strings for 15 were recorded from pg_basebackup -R of PostgreSQL 15.18,
// the first two for 18 from the same with libpq 18.4 (which was built without
// GSSAPI and says gssencmode=disable).
func TestPrimaryConnInfoIsPgBasebackups(t *testing.T) {
	dir := t.TempDir()
	service := write(t, filepath.Join(dir, "svc"), "[s1]\nhost=/tmp/cn\nport=54999\ndbname=svcdb\nconnect_timeout=7\n", 0o600)
	for _, c := range []struct {
		name, dsn string
		lookup    Lookup
		version   int
		want      string
	}{
		{
			name: "15, defaults", version: 150018,
			dsn: "host=/tmp/cn port=54999 user=postgres", lookup: env("HOME=/home/u"),
			want: `user=postgres passfile='/home/u/.pgpass' channel_binding=prefer host='/tmp/cn' port=54999 sslmode=prefer sslcompression=0 sslsni=1 ssl_min_protocol_version=TLSv1.2 gssencmode=prefer krbsrvname=postgres target_session_attrs=any`,
		},
		{
			name: "15, password and quoting", version: 150018,
			dsn:    "host=localhost port=54999 user=postgres keepalives_idle=30 application_name='x y' fallback_application_name=z replication=true",
			lookup: env("HOME=/home/u", `PGPASSWORD=se'cr\et`, "PGAPPNAME=my app", "PGCONNECT_TIMEOUT=10"),
			want:   `user=postgres password='se\'cr\\et' channel_binding=prefer connect_timeout=10 host=localhost port=54999 application_name='x y' keepalives_idle=30 sslmode=prefer sslcompression=0 sslsni=1 ssl_min_protocol_version=TLSv1.2 gssencmode=prefer krbsrvname=postgres target_session_attrs=any`,
		},
		{
			name: "15, environment", version: 150018,
			dsn: "user=postgres", lookup: env("HOME=/home/u", "PGSSLMODE=disable", "PGHOST=/tmp/nowhere,/tmp/cn", "PGPORT=1,54999", "PGOPTIONS=-c geqo=off"),
			want: `user=postgres passfile='/home/u/.pgpass' channel_binding=prefer host='/tmp/nowhere,/tmp/cn' port='1,54999' options='-c geqo=off' sslmode=disable sslcompression=0 sslsni=1 ssl_min_protocol_version=TLSv1.2 gssencmode=prefer krbsrvname=postgres target_session_attrs=any`,
		},
		{
			name: "18, defaults", version: 180004,
			dsn: "host=/tmp/cn port=54999 user=postgres gssencmode=disable", lookup: env("HOME=/home/u"),
			want: `user=postgres passfile='/home/u/.pgpass' channel_binding=prefer host='/tmp/cn' port=54999 sslmode=prefer sslnegotiation=postgres sslcompression=0 sslcertmode=allow sslsni=1 ssl_min_protocol_version=TLSv1.2 gssencmode=disable krbsrvname=postgres gssdelegation=0 target_session_attrs=any load_balance_hosts=disable`,
		},
		{
			name: "18, service", version: 180004,
			dsn: "user=postgres", lookup: env("HOME=/home/u", "PGPASSWORD=x", "PGSERVICEFILE="+service, "PGSERVICE=s1"),
			want: `user=postgres password=x channel_binding=prefer connect_timeout=7 host='/tmp/cn' port=54999 sslmode=prefer sslnegotiation=postgres sslcompression=0 sslcertmode=allow sslsni=1 ssl_min_protocol_version=TLSv1.2 gssencmode=prefer krbsrvname=postgres gssdelegation=0 target_session_attrs=any load_balance_hosts=disable dbname=svcdb`,
		},
		{
			name: "the newest, with a database and certificates", version: 0,
			dsn: "host=h user=u dbname='my db' sslcert=/c client_encoding=auto", lookup: env("HOME=/home/u", "PGDATABASE=other"),
			want: `user=u passfile='/home/u/.pgpass' channel_binding=prefer host=h port=5432 sslmode=prefer sslnegotiation=postgres sslcompression=0 sslcert='/c' sslcertmode=allow sslsni=1 ssl_min_protocol_version=TLSv1.2 gssencmode=prefer krbsrvname=postgres gssdelegation=0 target_session_attrs=any load_balance_hosts=disable dbname='my db'`,
		},
		{
			name: "9.5 knows fewer options, and what is asked for is not dropped", version: 90503,
			dsn: "host=h user=u channel_binding=require", lookup: env("HOME=/home/u"),
			want: `user=u channel_binding=require host=h port=5432 sslmode=prefer sslcompression=0 krbsrvname=postgres`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := resolve(t, c.dsn, c.lookup).PrimaryConnInfo(c.version); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
