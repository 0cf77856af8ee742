//go:build unix

package ui

import "context"

// noWindow says why no window can be shown here, or "".
func noWindow() string { return noScreen() }

func startWindow(ctx context.Context, argv []string) error { return runOpener(ctx, argv) }
