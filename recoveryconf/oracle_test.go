package recoveryconf_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/recoveryconf"
)

func TestTimesAreWhatServersReadThemAs(t *testing.T) {
	for _, major := range []int{10, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			s := pgtest.Start(t, major)
			conn := s.Conn(t)
			set := func(name, value string) {
				if _, err := conn.Exec(t.Context(), "select set_config($1, $2, false)", name, value); err != nil {
					t.Fatal(err)
				}
			}
			for _, zone := range []string{"UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Seoul", "America/St_Johns"} {
				for _, style := range []string{"ISO, MDY", "SQL, DMY", "German, YMD"} {
					set("timezone", zone)
					set("datestyle", style)
					for _, c := range targetTimes {
						// In microseconds, which an extracted epoch of 10 and older, a double, does not hold.
						var micros int64
						if err := conn.QueryRow(t.Context(), `select extract(epoch from date_trunc('second', at))::bigint * 1000000
								+ extract(microseconds from at)::bigint % 1000000 from (select $1::text::timestamptz) as t (at)`, c.text).Scan(&micros); err != nil {
							if !slices.Contains(styled, c.text) {
								t.Errorf("%s, %s: %q: %v", zone, style, c.text, err)
							}
							continue
						}
						earliest, latest, ok := recoveryconf.ParseTime(c.text)
						if at := time.UnixMicro(micros); ok && (at.Before(earliest) || at.After(latest)) {
							t.Errorf("%s, %s: %q is %v, which is not from %v to %v", zone, style, c.text, at.UTC(), earliest, latest)
						}
					}
				}
			}
			for _, text := range noTimes {
				var at time.Time
				if err := conn.QueryRow(t.Context(), "select $1::text::timestamptz", text).Scan(&at); err == nil {
					t.Errorf("%q is %v", text, at)
				}
			}
		})
	}
}

// pg_file_settings shows what a server makes of each line, those that it refuses without a name.
func TestLinesAreWhatServersReadThemAs(t *testing.T) {
	s := newSite(t, 18)
	if _, err := s.start(t); err != nil {
		t.Fatal(err)
	}
	for _, c := range confLines {
		s.place(t, recoveryconf.AutoConf, []byte(c.line))
		names := pgtest.Query[[]string](t, s.Server, "select coalesce(array_agg(lower(name)), '{}') from pg_file_settings where sourcefile like '%.auto.conf' and name is not null")
		refused := pgtest.Query[bool](t, s.Server, "select exists (select from pg_file_settings where sourcefile like '%.auto.conf' and error = 'syntax error')")
		sets := ""
		if len(names) == 1 && !refused {
			sets = names[0]
		}
		if got := recoveryconf.ParamNames([]byte(c.line)); len(names) > 1 || c.sets != "" && sets != c.sets || c.sets == "" && slices.Contains(recoveryNames, sets) {
			t.Errorf("%q sets %q in the server (refused: %v), and %q here", c.line, names, refused, got)
		}
	}
	// All of the parameters that StripRecovery knows are the server's, and the other way round.
	server := pgtest.Query[[]string](t, s.Server, `select array_agg(name::text order by name) from pg_settings
		where category = 'Write-Ahead Log / Archive Recovery' or category = 'Write-Ahead Log / Recovery Target'
		or name in ('primary_conninfo', 'primary_slot_name', 'recovery_min_apply_delay')`)
	if !slices.Equal(server, recoveryNames) {
		t.Errorf("the server has %q", server)
	}
	for _, name := range recoveryNames {
		if got := recoveryconf.StripRecovery([]byte(name + " = ''\n")); len(got) > 0 {
			t.Errorf("%s is not stripped", name)
		}
	}
}

var recoveryNames = []string{
	"archive_cleanup_command", "primary_conninfo", "primary_slot_name", "recovery_end_command", "recovery_min_apply_delay", "recovery_target",
	"recovery_target_action", "recovery_target_inclusive", "recovery_target_lsn", "recovery_target_name", "recovery_target_time",
	"recovery_target_timeline", "recovery_target_xid", "restore_command",
}
