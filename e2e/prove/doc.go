// Package prove tests "pgbasin prove" with real servers: good backups of each
// form hold, and each planted fault is found by the check that is for it, under
// its name. The examples in docs are run as they stand.
package prove
