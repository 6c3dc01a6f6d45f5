//go:build !race

package basebackup_test

const slowdown = 1
