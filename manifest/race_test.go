//go:build race

package manifest

// slowdown is about how much longer a test takes here.
const slowdown = 5
