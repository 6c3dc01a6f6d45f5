// Package lab is the physical half of a course's lab on backup and recovery, one
// test for each of its sections: continuous archiving, manual hot backup,
// complete recovery, point-in-time recovery. pgbasin does what there was done by
// hand. Its tests need Linux; some need root.
package lab
