//go:build linux || darwin

package main

// smallRows are of a server with many small files.
var smallRows = []row{
	{
		work: "small files, plain", reference: "pg_basebackup",
		goals: goals{wall: 0.9}, prepare: backupTo("-Fp", "-X", "stream"),
	},
	{
		work: "small files, verify plain", reference: "pg_verifybackup",
		goals: goals{wall: 0.9}, prepare: verifyPlain,
	},
	{
		work: "small files, restore tar, not synced", reference: "tar x",
		goals: goals{wall: 0.9}, prepare: restoreOf("none", ""),
	},
}
