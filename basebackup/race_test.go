//go:build race

package basebackup_test

// slowdown divides what the race detector makes slow.
const slowdown = 10
