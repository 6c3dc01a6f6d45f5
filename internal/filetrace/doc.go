// Package filetrace runs a program under ptrace(2) for tests and shows its
// system calls on files and sockets, one after the other: they can be recorded,
// made to fail, cut short, or be where the program is killed.
//
// Calls that are not asked for run at full speed (a seccomp filter picks the
// others out), so that a program of Go with its many threads is hardly slower.
// It works on Linux on amd64.
package filetrace
