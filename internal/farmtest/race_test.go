//go:build race

package farmtest

const raceEnabled = true
