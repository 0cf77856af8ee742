//go:build !race

package webproxy

const raceEnabled = false
