package usage

import "github.com/pgbasin/pgbasin/internal/durable"

// Format is for an option that says whether what ("output", "backup") is plain or in tar
// files.
func Format[T any](what string, f *T, plain, tar T) func(string) error {
	return func(v string) error {
		switch v {
		case "p", "plain":
			*f = plain
		case "t", "tar":
			*f = tar
		default:
			return Refuse("invalid %s format \"%s\", must be \"plain\" or \"tar\"", what, v)
		}
		return nil
	}
}

// SyncMethod is for the option --sync-method.
func SyncMethod(m *durable.SyncMethod) func(string) error {
	return func(v string) error {
		switch v {
		case "fsync":
			*m = durable.Fsync
		case "syncfs":
			*m = durable.Syncfs
		default:
			return Refuse("unrecognized sync method: %s", v)
		}
		return nil
	}
}
