// Package receive runs "pgbasin receive" end to end: the built program against
// real servers, with both of them killed, disks that are full, and servers that
// are promoted. Its tests need Linux; some need root.
package receive
