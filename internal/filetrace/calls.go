//go:build linux && amd64

package filetrace

import "golang.org/x/sys/unix"

// Changes are the calls that change files or their names, or make them durable,
// and those that tell somebody: all that recovery from a crash depends on.
// Calls that would do so unseen, through memory or a ring, are among them.
var Changes = []string{
	"open", "openat", "openat2", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2",
	"sendfile", "splice", "copy_file_range", "truncate", "ftruncate", "fallocate",
	"fsync", "fdatasync", "sync", "syncfs",
	"rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
	"unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "mknod", "mknodat",
	"mmap", "io_uring_setup", "sendto", "sendmsg", "exit_group",
}

var numbers = map[string]int{
	"open": unix.SYS_OPEN, "openat": unix.SYS_OPENAT, "openat2": unix.SYS_OPENAT2, "creat": unix.SYS_CREAT,
	"read": unix.SYS_READ, "pread64": unix.SYS_PREAD64, "close": unix.SYS_CLOSE,
	"write": unix.SYS_WRITE, "pwrite64": unix.SYS_PWRITE64, "writev": unix.SYS_WRITEV,
	"pwritev": unix.SYS_PWRITEV, "pwritev2": unix.SYS_PWRITEV2,
	"sendfile": unix.SYS_SENDFILE, "splice": unix.SYS_SPLICE, "copy_file_range": unix.SYS_COPY_FILE_RANGE,
	"truncate": unix.SYS_TRUNCATE, "ftruncate": unix.SYS_FTRUNCATE, "fallocate": unix.SYS_FALLOCATE,
	"fsync": unix.SYS_FSYNC, "fdatasync": unix.SYS_FDATASYNC, "sync": unix.SYS_SYNC, "syncfs": unix.SYS_SYNCFS,
	"rename": unix.SYS_RENAME, "renameat": unix.SYS_RENAMEAT, "renameat2": unix.SYS_RENAMEAT2,
	"link": unix.SYS_LINK, "linkat": unix.SYS_LINKAT, "symlink": unix.SYS_SYMLINK, "symlinkat": unix.SYS_SYMLINKAT,
	"unlink": unix.SYS_UNLINK, "unlinkat": unix.SYS_UNLINKAT, "rmdir": unix.SYS_RMDIR,
	"mkdir": unix.SYS_MKDIR, "mkdirat": unix.SYS_MKDIRAT, "mknod": unix.SYS_MKNOD, "mknodat": unix.SYS_MKNODAT,
	"mmap": unix.SYS_MMAP, "io_uring_setup": unix.SYS_IO_URING_SETUP,
	"sendto": unix.SYS_SENDTO, "sendmsg": unix.SYS_SENDMSG, "exit_group": unix.SYS_EXIT_GROUP,
}
