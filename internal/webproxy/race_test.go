//go:build race

package webproxy

const raceEnabled = true
