// Package crash records what pgbasin does to the disk, and checks every state
// that a power cut may leave of it: a result is whole, or visibly not there, and
// what was acknowledged is in every one of them. It also has each call of the
// file system fail, in turn. The servers are fakes, because a small cluster of a
// real one has a hundred times as many files.
package crash
