//go:build !linux

package holder

import (
	"context"
	"time"
)

// addressHints says when addresses may have changed. A look costs some tens of
// microseconds.
func addressHints(ctx context.Context) <-chan struct{} { return eachSoOften(ctx, 5*time.Second) }
