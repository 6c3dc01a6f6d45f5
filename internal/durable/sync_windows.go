package durable

func unsupportedForDirectories(error) bool { return false }
