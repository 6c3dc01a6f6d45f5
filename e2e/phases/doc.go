// Package phases runs every operation that talks to a server through every phase
// of its protocol while the network does everything that networks do, on real
// servers: a table of operations, of their phases, and of faults. A further
// operation is one more row.
//
// What must hold, whatever is done where:
//
//   - Slowness and the way in which bytes are cut into pieces change nothing.
//   - A connection that ends is an error that says so. A backup leaves nothing; the
//     receiver connects again and goes on without a gap.
//   - A backup that can be gone on with goes on, whatever happens to the attempt that
//     does so: at once while attempts are left, else when it is run again. Until then
//     nobody takes what is there for a backup.
//   - A server that vanishes, or that one cannot hear or talk to any more, is given
//     up after Config.ServerTimeout, except where servers may be silent for hours.
//   - What is done after everything has arrived takes nothing away.
package phases
