package durable

// NoWait is a flag for opening files that means nothing here.
const NoWait = 0

func unsupportedForDirectories(error) bool { return false }
