package replproto

// SQLSTATEs that callers tell apart, under PostgreSQL's names (errcodes.txt) or those
// of what they are sent for here.
const (
	CodeInvalidAuthorization = "28000" // also no line in pg_hba.conf, and an unknown role
	CodeInvalidPassword      = "28P01"
	CodeInsufficientRight    = "42501"
	CodeSyntaxError          = "42601" // an option or command that the server does not know
	CodeUndefinedObject      = "42704" // the slot does not exist
	CodeDuplicateObject      = "42710" // CREATE_REPLICATION_SLOT: the slot exists
	CodeTooManyConnections   = "53300" // also no walsender left
	CodeLimitExceeded        = "53400" // no replication slot left
	CodeNotInState           = "55000" // a slot that was invalidated or is not a physical one; a backup that cannot build on another
	CodeObjectInUse          = "55006" // the slot is in use
	CodeAdminShutdown        = "57P01" // also of a single process
	CodeCrashShutdown        = "57P02"
	CodeCannotConnectNow     = "57P03" // the server is starting or shutting down
	CodeUndefinedFile        = "58P01" // WAL or a history that was removed
	CodeDataCorrupted        = "XX001" // BASE_BACKUP: page checksums failed; the data has arrived all the same
)
