package holder

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// AttachOptions say how a command connects.
type AttachOptions struct {
	// Ask: a person sits at this command and can be asked.
	Ask bool `json:"ask"`
	// Alias is the name as it was typed, with all that its meaning depends on;
	// Find finds the holder by it from now on.
	Alias string `json:"alias"`
	// Watch only listens: a line that is down is not dialled for it.
	Watch bool `json:"watch,omitempty"`
	// Fresh: a line that is up is asked for a sign of life first, and replaced
	// by a new one if there is none.
	Fresh bool `json:"fresh,omitempty"`
}

// Attachment is a command's connection to a holder: as long as it is open, the
// command hears what happens and may be asked.
type Attachment struct {
	body   io.ReadCloser
	events *json.Decoder
	cancel context.CancelFunc
}

// Attach connects to the holder and, if its line is not up, has it dialled.
func (c *Client) Attach(ctx context.Context, opts AttachOptions) (*Attachment, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	if !opts.Fresh { // which takes as long as the host
		defer time.AfterFunc(testOnlyAnswer, func() { cancel(errSilent) }).Stop()
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/attach", opts)
	if err == nil {
		err = failed(resp)
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	return &Attachment{body: resp.Body, events: json.NewDecoder(resp.Body), cancel: func() { cancel(nil) }}, nil
}

// testOnlyAnswer is how long a holder may take to say that it has heard.
var testOnlyAnswer = 10 * time.Second

// Next waits for the next event. It ends with the context of Attach; an end of
// the holder is an error.
func (a *Attachment) Next(ctx context.Context) (Event, error) {
	var e Event
	if err := a.events.Decode(&e); err != nil {
		if ctx.Err() != nil {
			return e, context.Cause(ctx)
		}
		return e, fmt.Errorf("%w: it ended: %v", ErrNone, err)
	}
	return e, nil
}

// Close leaves the holder.
func (a *Attachment) Close() {
	a.cancel()
	a.body.Close()
}
