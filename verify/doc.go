// Package verify checks a stored base backup against its manifest and its WAL,
// as pg_verifybackup does, in plain and in tar format, and can check the
// checksum of every page as well.
//
// What is wrong with the backup are Problems, which Run reports as it finds them.
// What keeps Run from judging the backup at all, such as a manifest that is not
// sound, is its error.
//
// Memory grows with the number of files alone: of each that the manifest lists
// about 30 bytes are kept. Content passes through one buffer for each of
// Options.Jobs.
package verify
