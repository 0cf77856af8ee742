package ui

// CanOpenBrowser says why OpenBrowser would open nothing: the shell of Windows
// always has something to open addresses with.
func CanOpenBrowser() error { return nil }
