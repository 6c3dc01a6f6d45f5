// Package e2e tests the built programs as a script would use them: on real
// servers, by exit status, standard output and standard error. What they make
// is unpacked by tar, gzip, zstd and lz4, started by the server that it came
// from, and compared with what that server says about its data.
//
// Tests with Matrix in their name run on the majors that the flag -majors
// names.
package e2e
