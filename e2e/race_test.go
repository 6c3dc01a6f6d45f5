//go:build unix && race

package e2e

// The programs are built as the tests are.
const race = true
