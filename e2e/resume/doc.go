// Package resume tests that a backup whose connection, or whose program, is ended at any
// point is gone on with, that what comes of it is as good as one that was not, and that
// what has arrived is not sent again.
package resume
