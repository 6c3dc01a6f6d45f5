// Package verify has end-to-end tests of "pgbasin verify", which is also
// pg_verifybackup, against PostgreSQL's own tool and on real backups.
package verify
