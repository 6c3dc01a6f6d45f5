package restore

// requiredDirectory is one that a server does not start, or not recover,
// without. The server sends all of them in its base backups; copies made by hand
// often leave out pg_wal or the temporary ones.
type requiredDirectory struct {
	name         string
	since, until int // versions as 90500; until is the first without it, 0 = none
}

var requiredDirectories = []requiredDirectory{
	{"pg_xlog", 0, 100000}, {"pg_xlog/archive_status", 0, 100000},
	{"pg_wal", 100000, 0}, {"pg_wal/archive_status", 100000, 0}, {"pg_wal/summaries", 170000, 0},
	{"pg_clog", 0, 100000}, {"pg_xact", 100000, 0},
	{"pg_commit_ts", 90500, 0},
	{"pg_dynshmem", 90400, 0},
	{"pg_logical", 90400, 0}, {"pg_logical/snapshots", 90400, 0}, {"pg_logical/mappings", 90400, 0},
	{"pg_multixact", 0, 0}, {"pg_multixact/members", 0, 0}, {"pg_multixact/offsets", 0, 0},
	{"pg_notify", 0, 0},
	{"pg_replslot", 90400, 0},
	{"pg_serial", 90100, 0},
	{"pg_snapshots", 90200, 0},
	{"pg_stat", 90300, 0},
	{"pg_stat_tmp", 0, 0},
	{"pg_subtrans", 0, 0},
	{"pg_tblspc", 0, 0},
	{"pg_twophase", 0, 0},
}

// in tells whether servers of a version have the directory.
func (d requiredDirectory) in(version int) bool {
	return version >= d.since && (d.until == 0 || version < d.until)
}
