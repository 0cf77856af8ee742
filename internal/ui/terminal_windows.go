package ui

// localeIsUTF8: the console takes UTF-16 from the runtime, whatever its code
// page.
func localeIsUTF8() bool { return true }
