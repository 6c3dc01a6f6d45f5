// Package durable puts files on disk so that they are there after a power cut:
// what its functions have returned for is on stable storage, under its final
// name.
package durable
