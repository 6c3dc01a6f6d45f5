package recoveryconf_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/recoveryconf"
)

const comment = "# recovery configuration written by pgbasin restore\n"

func TestRecoveryFilesFollowTheServerVersion(t *testing.T) {
	const command = `cp '/a/%f' "%p"`
	type files = []recoveryconf.Files
	old := func(lines string) files {
		return files{{Name: "recovery.conf", Contents: []byte(comment + "restore_command = 'cp ''/a/%f'' \"%p\"'\n" + lines)}}
	}
	now := func(signal, lines string) files {
		return files{{Name: "postgresql.auto.conf", Append: true, Signal: signal,
			Contents: []byte(comment + "restore_command = 'cp ''/a/%f'' \"%p\"'\n" + lines)}}
	}
	for name, c := range map[string]struct {
		r       recoveryconf.Recovery
		version int
		want    files
	}{
		"nothing asked for":   {recoveryconf.Recovery{Override: []string{"recovery_target_time"}}, 180000, nil},
		"to the end, 9.5":     {recoveryconf.Recovery{RestoreCommand: command}, 90500, old("")},
		"to the end, 18":      {recoveryconf.Recovery{RestoreCommand: command}, 180004, now("recovery.signal", "")},
		"time, 11":            {recoveryconf.Recovery{RestoreCommand: command, Target: recoveryconf.Target{Time: "2016-02-13 11:50:00 KST"}}, 110000, old("recovery_target_time = '2016-02-13 11:50:00 KST'\nrecovery_target_action = 'promote'\n")},
		"exclusive xid, 12":   {recoveryconf.Recovery{RestoreCommand: command, Target: recoveryconf.Target{XID: "751", Exclusive: true}}, 120000, now("recovery.signal", "recovery_target_xid = '751'\nrecovery_target_inclusive = 'false'\nrecovery_target_action = 'promote'\n")},
		"xid with an epoch":   {recoveryconf.Recovery{RestoreCommand: command, Target: recoveryconf.Target{XID: "8589935343"}}, 120000, now("recovery.signal", "recovery_target_xid = '751'\nrecovery_target_action = 'promote'\n")},
		"LSN and timeline":    {recoveryconf.Recovery{RestoreCommand: command, Target: recoveryconf.Target{LSN: 0x16_B374D848, Timeline: "3", Action: "pause"}}, 100000, old("recovery_target_lsn = '16/B374D848'\nrecovery_target_timeline = '3'\nrecovery_target_action = 'pause'\n")},
		"immediate, shutdown": {recoveryconf.Recovery{RestoreCommand: command, Target: recoveryconf.Target{Immediate: true, Action: "shutdown"}}, 90600, old("recovery_target = 'immediate'\nrecovery_target_action = 'shutdown'\n")},
		"name":                {recoveryconf.Recovery{RestoreCommand: command, Target: recoveryconf.Target{Name: `it's "a\b"`}}, 150000, now("recovery.signal", "recovery_target_name = 'it''s \"a\\\\b\"'\nrecovery_target_action = 'promote'\n")},
		"timeline alone":      {recoveryconf.Recovery{RestoreCommand: command, Target: recoveryconf.Target{Timeline: "current"}}, 120000, now("recovery.signal", "recovery_target_timeline = 'current'\n")},
		"standby, 9.6": {recoveryconf.Recovery{RestoreCommand: command, Standby: true, PrimaryConnInfo: "host='a b'", PrimarySlot: "s1"}, 90600,
			files{{Name: "recovery.conf", Contents: []byte(comment + "standby_mode = 'on'\nrestore_command = 'cp ''/a/%f'' \"%p\"'\nprimary_conninfo = 'host=''a b'''\nprimary_slot_name = 's1'\n")}}},
		"standby, 16": {recoveryconf.Recovery{RestoreCommand: command, Standby: true, PrimaryConnInfo: "host='a b'"}, 160000,
			now("standby.signal", "primary_conninfo = 'host=''a b'''\n")},
		"standby that stops": {recoveryconf.Recovery{RestoreCommand: command, Standby: true, Target: recoveryconf.Target{LSN: 1}}, 160000,
			now("standby.signal", "recovery_target_lsn = '0/1'\nrecovery_target_action = 'pause'\n")},
		"standby without a source": {recoveryconf.Recovery{Standby: true}, 120000,
			files{{Name: "postgresql.auto.conf", Append: true, Signal: "standby.signal", Contents: []byte(comment)}}},
		// The empty target must come first: the server takes the last target's line, but refuses any line after another target's.
		"over other files": {recoveryconf.Recovery{RestoreCommand: command, Target: recoveryconf.Target{LSN: 1},
			Override: []string{"Recovery_Target_Time", "restore_command", "work_mem", "recovery_target_time", "recovery_min_apply_delay", "recovery_target_action"}}, 130000,
			files{{Name: "postgresql.auto.conf", Append: true, Signal: "recovery.signal", Contents: []byte(comment +
				"recovery_target_time = ''\nrecovery_min_apply_delay = '0'\n" +
				"restore_command = 'cp ''/a/%f'' \"%p\"'\nrecovery_target_lsn = '0/1'\nrecovery_target_action = 'promote'\n")}}},
		"over other files, 11": {recoveryconf.Recovery{RestoreCommand: command, Override: []string{"recovery_target_time"}}, 110000, old("")},
	} {
		if err := c.r.Check(c.version); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := c.r.Files(c.version); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n%s, want\n%s", name, show(got), show(c.want))
		}
	}
}

func show(files []recoveryconf.Files) string {
	text := ""
	for _, f := range files {
		text += fmt.Sprintf("%s (append %v) and %q:\n%s", f.Name, f.Append, f.Signal, f.Contents)
	}
	return text
}

func TestRecoveryThatHasNoMeaningIsRefused(t *testing.T) {
	target := func(t recoveryconf.Target) recoveryconf.Recovery {
		return recoveryconf.Recovery{RestoreCommand: "x", Target: t}
	}
	for name, c := range map[string]struct {
		r       recoveryconf.Recovery
		version int
		says    string
	}{
		"three targets":            {target(recoveryconf.Target{LSN: 1, XID: "9", Immediate: true}), 180000, "target-lsn, target-xid and target-immediate exclude each other"},
		"exclusive alone":          {target(recoveryconf.Target{Exclusive: true}), 180000, "target-exclusive has no meaning without a target"},
		"exclusive timeline":       {target(recoveryconf.Target{Exclusive: true, Timeline: "2"}), 180000, "target-exclusive has no meaning without a target"},
		"exclusive name":           {target(recoveryconf.Target{Exclusive: true, Name: "n"}), 180000, "target-exclusive has no meaning with target-name"},
		"exclusive immediate":      {target(recoveryconf.Target{Exclusive: true, Immediate: true}), 100000, "target-exclusive has no meaning with target-immediate"},
		"action alone":             {target(recoveryconf.Target{Action: "pause"}), 180000, "target-action has no meaning without a target"},
		"action in capitals":       {target(recoveryconf.Target{Action: "Pause", LSN: 1}), 110000, `target-action "Pause" is not one of`},
		"timeline with zeroes":     {target(recoveryconf.Target{Timeline: "010"}), 180000, "is not a timeline's number"},
		"timeline 0":               {target(recoveryconf.Target{Timeline: "0"}), 180000, "is not a timeline's number"},
		"timeline too large":       {target(recoveryconf.Target{Timeline: "4294967296"}), 180000, "is not a timeline's number"},
		"timeline negative":        {target(recoveryconf.Target{Timeline: "-1"}), 180000, "is not a timeline's number"},
		"xid too large":            {target(recoveryconf.Target{XID: "18446744073709551616"}), 180000, "is not a transaction number"},
		"xid negative":             {target(recoveryconf.Target{XID: "-1"}), 180000, "is not a transaction number"},
		"xid 2":                    {target(recoveryconf.Target{XID: "2"}), 180000, "no transaction has this number"},
		"xid 0 of another epoch":   {target(recoveryconf.Target{XID: "4294967296"}), 180000, "no transaction has this number"},
		"zero byte in a command":   {recoveryconf.Recovery{RestoreCommand: "x\x00"}, 180000, "restore_command holds a zero byte"},
		"zero byte in conninfo":    {recoveryconf.Recovery{Standby: true, PrimaryConnInfo: "x\x00"}, 110000, "primary_conninfo holds a zero byte"},
		"conninfo, no standby":     {recoveryconf.Recovery{RestoreCommand: "x", PrimaryConnInfo: "host=a"}, 180000, "primary-conninfo has no meaning without standby"},
		"slot, no standby":         {recoveryconf.Recovery{RestoreCommand: "x", PrimarySlot: "a"}, 180000, "primary-slot has no meaning without standby"},
		"command ends in %":        {recoveryconf.Recovery{RestoreCommand: "cp %f %p %"}, 160000, "ends in a single %"},
		"time without a number":    {target(recoveryconf.Target{Time: "noon"}), 180000, "is not a time"},
		"time of a keyword, 11":    {target(recoveryconf.Target{Time: "Yesterday 12:00"}), 110000, `"yesterday" is not a point in time`},
		"time on no day":           {target(recoveryconf.Target{Time: "2023-02-29 12:00:00"}), 110000, "there is no date 2023-02-29"},
		"time at no minute":        {target(recoveryconf.Target{Time: "2023-02-28 12:60:00"}), 110000, "there is no time of day 12:60:00"},
		"second 61 of the hour 23": {target(recoveryconf.Target{Time: "2023-02-28 23:59:61"}), 110000, "there is no time of day"},
		"after 24 o'clock":         {target(recoveryconf.Target{Time: "2023-02-28 24:00:01"}), 110000, "there is no time of day"},
	} {
		if err := c.r.Check(c.version); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatAVersionDoesNotHaveIsNamed(t *testing.T) {
	for _, c := range []struct {
		r             recoveryconf.Recovery
		before, since int
		option, says  string
	}{
		{recoveryconf.Recovery{RestoreCommand: "x", Target: recoveryconf.Target{LSN: 1}}, 90600, 100000, "target-lsn",
			"target-lsn needs PostgreSQL 10 or newer, and the backup is of PostgreSQL 9.6"},
		{recoveryconf.Recovery{RestoreCommand: "x", Target: recoveryconf.Target{Timeline: "current"}}, 110000, 120000, "target-timeline=current",
			"target-timeline=current needs PostgreSQL 12 or newer, and the backup is of PostgreSQL 11: leave it out, the backup's own timeline is the default"},
		{recoveryconf.Recovery{RestoreCommand: "x"}, 90400, 90500, "a recovery configuration",
			"a recovery configuration needs PostgreSQL 9.5 or newer, and the backup is of PostgreSQL 9.4"},
	} {
		var unsupported *recoveryconf.Unsupported
		if err := c.r.Check(c.before); !errors.As(err, &unsupported) || unsupported.Option != c.option || unsupported.Version != c.before ||
			unsupported.Since != c.since || err.Error() != c.says {
			t.Errorf("%d: %v", c.before, err)
		}
		if err := c.r.Check(c.since); err != nil {
			t.Errorf("%d: %v", c.since, err)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	good := recoveryconf.Params{{"port", "5445"}, {"archive_mode", "off"}, {"My_Ext.Some_thing2", "a'b\n"}, {"_x", ""}}
	if err := good.Check(90500); err != nil {
		t.Error(err)
	}
	files := recoveryconf.SettingsFile(good)
	if len(files) != 1 || !files[0].Append || files[0].Name != recoveryconf.AutoConf || files[0].Signal != "" ||
		string(files[0].Contents) != "# settings given to pgbasin restore\nport = '5445'\narchive_mode = 'off'\nMy_Ext.Some_thing2 = 'a''b\\n'\n_x = ''\n" {
		t.Error(show(files))
	}
	if files := recoveryconf.SettingsFile(nil); files != nil {
		t.Error(show(files))
	}
	for _, c := range []struct {
		name, value string
		version     int
		says        string
	}{
		{"", "x", 180000, "is not the name of a setting"},
		{"1a", "x", 180000, "is not the name of a setting"},
		{"a b", "x", 180000, "is not the name of a setting"},
		{"a=b", "x", 180000, "is not the name of a setting"},
		{"a.b.c", "x", 180000, "is not the name of a setting"},
		{"a.", "x", 180000, "is not the name of a setting"},
		{".a", "x", 180000, "is not the name of a setting"},
		{"a.1", "x", 180000, "is not the name of a setting"},
		{"größe", "x", 180000, "is not the name of a setting"},
		{"a\nport", "x", 180000, "is not the name of a setting"},
		{"Include", "x", 180000, "is a directive"},
		{"include_if_exists", "x", 180000, "is a directive"},
		{"include_dir", "x", 180000, "is a directive"},
		{"a", "x\x00", 180000, "holds a zero byte"},
		{"Restore_Command", "x", 180000, "is set by the option restore-command"},
		{"recovery_target_time", "x", 180000, "is set by the option target-time"},
		{"standby_mode", "x", 110000, "is set by the option standby"},
		{"recovery_min_apply_delay", "1h", 110000, "recovery_min_apply_delay is not a setting of PostgreSQL 11"},
	} {
		if err := (recoveryconf.Params{{c.name, c.value}}).Check(c.version); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q = %q: %v", c.name, c.value, err)
		}
	}
	if err := (recoveryconf.Params{{"recovery_min_apply_delay", "1h"}, {"archive_cleanup_command", "x"}}).Check(120000); err != nil {
		t.Error(err)
	}
}

func TestFilesAreAppliedToWhatIsThere(t *testing.T) {
	add := recoveryconf.Files{Append: true, Contents: []byte("b\n")}
	whole := recoveryconf.Files{Contents: []byte("b\n")}
	for _, c := range []struct {
		f              recoveryconf.Files
		existing, want string
	}{{add, "", "b\n"}, {add, "a\n", "a\nb\n"}, {add, "a", "a\nb\n"}, {whole, "a\n", "b\n"}} {
		if got := string(c.f.Apply([]byte(c.existing))); got != c.want {
			t.Errorf("%q with %v becomes %q", c.existing, c.f.Append, got)
		}
	}
}
