// Package backuptest makes up backups without a server, for tests: full and
// incremental ones, in every form that they are stored in, with manifests that
// are right.
package backuptest
