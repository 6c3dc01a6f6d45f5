package recoveryconf

// Recovery is how a restored data directory is to recover. The zero value asks for nothing: the server recovers to the end of
// the WAL in its own directory and starts.
type Recovery struct {
	Target
	RestoreCommand  string
	Standby         bool   // stay in recovery and follow a primary or an archive
	PrimaryConnInfo string // for a standby
	PrimarySlot     string // for a standby

	// Override names recovery parameters that other configuration files of the data directory set (see ParamNames). From 12 on
	// those which this recovery does not set itself are set back to the server's defaults: a target left over in postgresql.conf
	// would count too, and two targets stop the server from starting.
	Override []string
}

// Wanted reports whether there is anything to configure.
func (r Recovery) Wanted() bool {
	return r.Standby || r.RestoreCommand != "" || r.PrimaryConnInfo != "" || r.PrimarySlot != "" ||
		r.Target.Set() || r.Exclusive || r.Timeline != "" || r.Action != ""
}

// recoveryComment is the line before the parameters of a recovery. StripRecovery drops it with them.
const recoveryComment = "# recovery configuration written by pgbasin restore\n"

// settingsComment is the line before the settings.
const settingsComment = "# settings given to pgbasin restore\n"

// Files returns what is to be written for a server of this version (180004), which is the backup's. It is one entry, or none
// when nothing is Wanted. Check must have accepted the same version.
func (r Recovery) Files(version int) []Files {
	if !r.Wanted() {
		return nil
	}
	if version < ParametersVersion {
		p := r.params()
		if r.Standby {
			p = append(Params{{"standby_mode", "on"}}, p...)
		}
		return []Files{{Name: RecoveryConf, Contents: commented(recoveryComment, p)}}
	}
	p := append(r.defaults(), r.params()...)
	signal := RecoverySignal
	if r.Standby {
		signal = StandbySignal
	}
	return []Files{{Name: AutoConf, Append: true, Contents: commented(recoveryComment, p), Signal: signal}}
}

// params returns the parameters of the recovery; their names are the same in all versions.
func (r Recovery) params() Params {
	var p Params
	if r.RestoreCommand != "" {
		p = append(p, Param{"restore_command", r.RestoreCommand})
	}
	if r.PrimaryConnInfo != "" {
		p = append(p, Param{"primary_conninfo", r.PrimaryConnInfo})
	}
	if r.PrimarySlot != "" {
		p = append(p, Param{"primary_slot_name", r.PrimarySlot})
	}
	p = append(p, r.Target.params()...)
	if r.Exclusive {
		p = append(p, Param{"recovery_target_inclusive", "false"})
	}
	if r.Timeline != "" {
		p = append(p, Param{"recovery_target_timeline", r.Timeline})
	}
	if action := r.action(); action != "" {
		p = append(p, Param{"recovery_target_action", action})
	}
	return p
}

// defaults returns the parameters that set back what other files set. They come before those of the recovery: an empty target
// after another one would be refused.
func (r Recovery) defaults() Params {
	var p Params
	own := r.params()
	for _, name := range r.Override {
		value, ok := recoveryParams[fold(name)]
		if !ok || own.has(name) || p.has(name) {
			continue
		}
		p = append(p, Param{fold(name), value})
	}
	return p
}

// SettingsFile returns the settings as an addition to postgresql.auto.conf, in all versions; nil when there are none.
func SettingsFile(settings Params) []Files {
	if len(settings) == 0 {
		return nil
	}
	return []Files{{Name: AutoConf, Append: true, Contents: commented(settingsComment, settings)}}
}

func commented(comment string, p Params) []byte {
	return append([]byte(comment), p.Render()...)
}

// Apply returns the contents of the file Name when it held existing before; nil means that it was not there.
func (f Files) Apply(existing []byte) []byte {
	if !f.Append {
		return f.Contents
	}
	out := make([]byte, 0, len(existing)+1+len(f.Contents))
	out = append(out, existing...)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return append(out, f.Contents...)
}
