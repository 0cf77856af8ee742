package ui

import (
	"context"
	"io"

	"github.com/pkg/browser"
)

// openBrowser asks the shell, which starts the browser outside of our console.
func openBrowser(ctx context.Context, address string) error {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	done := make(chan error, 1)
	go func() { done <- browser.OpenURL(address) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if context.Cause(ctx) == errSlow {
		return nil
	}
	return ctx.Err()
}
