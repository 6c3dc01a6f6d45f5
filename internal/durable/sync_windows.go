package durable

const dontWait = 0

func unsupportedForDirectories(error) bool { return false }
