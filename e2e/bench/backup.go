//go:build linux || darwin

package main

import (
	"context"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// Both programs get the same options, pgbasin under the name of the other one.
var backupRows = []row{
	{
		work: "tar to /dev/null", reference: "pg_basebackup",
		goals: goals{wall: 1, cpu: 1.3}, prepare: backupToNull,
	},
	{
		work: "plain", reference: "pg_basebackup",
		goals: goals{wall: 0.85}, prepare: backupTo("-Fp", "-X", "stream"),
	},
	{
		work: "plain and verified", reference: "pg_basebackup, pg_verifybackup",
		goals: goals{wall: 0.75}, prepare: backupVerified,
	},
	{
		work: "tar.gz, level 6", reference: "pg_basebackup",
		goals: goals{wall: 0.25, size: 1.03}, prepare: backupTo(tarOptions("client-gzip:6")...),
	},
	{
		work: "tar.zst", reference: "pg_basebackup",
		goals: goals{wall: 0.6, size: 1.03}, prepare: backupTo(tarOptions("client-zstd")...),
	},
	{
		work: "tar.lz4", reference: "pg_basebackup",
		goals: goals{wall: 1}, prepare: backupTo(tarOptions("client-lz4")...),
	},
}

// tarOptions are those of a backup in tar format without WAL.
func tarOptions(compress string) []string { return []string{"-Ft", "-X", "none", "-Z", compress} }

// take takes a backup with a program that has pg_basebackup's options.
func (b *bench) take(ctx context.Context, s *pgtest.Server, program, output string, options ...string) (measurement, error) {
	command := append([]string{program, "-D", output, "-d", s.DSN(), "-c", "fast"}, options...)
	return b.measure(ctx, command...)
}

// backupTo prepares backups with so many options, each to a directory of its own.
func backupTo(options ...string) preparation {
	return func(ctx context.Context, b *bench, s *pgtest.Server) (*contest, error) {
		input, err := dataOf(s)
		run := func(program string) func() (measurement, error) {
			return func() (measurement, error) {
				output := b.newOutput()
				m, err := b.take(ctx, s, program, output, options...)
				if err == nil {
					m.size, err = empty(output)
				}
				return m, err
			}
		}
		return &contest{input: input, ours: run(b.ours.basebackup), theirs: run(b.theirs.basebackup)}, err
	}
}

// backupToNull prepares backups to standard output, which is /dev/null.
func backupToNull(ctx context.Context, b *bench, s *pgtest.Server) (*contest, error) {
	input, err := dataOf(s)
	run := func(program string) func() (measurement, error) {
		return func() (measurement, error) { return b.take(ctx, s, program, "-", "-Ft", "-X", "none") }
	}
	return &contest{input: input, ours: run(b.ours.basebackup), theirs: run(b.theirs.basebackup)}, err
}

// backupVerified prepares backups that are verified: pgbasin compares with the
// manifest what arrives, and the reference is to read its backup again.
func backupVerified(ctx context.Context, b *bench, s *pgtest.Server) (*contest, error) {
	c, err := backupTo("-Fp", "-X", "stream")(ctx, b, s)
	if err != nil {
		return nil, err
	}
	c.theirs = func() (measurement, error) {
		output := b.newOutput()
		m, err := b.take(ctx, s, b.theirs.basebackup, output, "-Fp", "-X", "stream")
		if err != nil {
			return m, err
		}
		again, err := b.measure(ctx, b.theirs.verifybackup, "-q", output)
		if err != nil {
			return m, err
		}
		m = m.then(again)
		m.size, err = empty(output)
		return m, err
	}
	return c, nil
}
