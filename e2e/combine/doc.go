// Package combine has end-to-end tests of "pgbasin combine", which is also
// pg_combinebackup, on backups of real servers.
package combine
