//go:build unix && !darwin

package ui

const noLocaleIsUTF8 = false
