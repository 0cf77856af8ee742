package holder

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// hop is our use of the gateway's holder while we dial: its steps and
// questions are told on as ours.
type hop struct {
	client *Client
	line   *Attachment
	done   sync.WaitGroup
}

// throughGateway finds or starts the holder of the gateway before our target
// and waits until its line is up.
func (h *holder) throughGateway(ctx context.Context) (*hop, error) {
	client, err := Ensure(ctx, Spec{Place: h.spec.Place, Target: h.spec.Target.Via, ConnectTimeout: h.spec.ConnectTimeout})
	if err != nil {
		return nil, fmt.Errorf("start the connection to %s: %w", h.spec.Target.Via.Name, err)
	}
	a, err := client.Attach(ctx, AttachOptions{Ask: h.asks.canAsk(), Alias: ""})
	if err != nil {
		return nil, err
	}
	up := &hop{client: client, line: a}
	for {
		e, err := a.Next(ctx)
		if err != nil {
			a.Close()
			return nil, err
		}
		switch e.Kind {
		case "up":
			return up, nil
		case "error":
			a.Close()
			return nil, e.Error
		case "question":
			up.done.Add(1)
			go func() {
				defer up.done.Done()
				text, err := h.asks.ask(ctx, *e.Question)
				client.Answer(ctx, Answer{ID: e.ID, Text: text, Refused: err != nil})
			}()
		case "start", "done", "notice":
			h.tell(e)
		}
	}
}

// Dial connects to addr as the gateway reaches it.
func (u *hop) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return u.client.Dial(ctx, network, addr)
}

func (u *hop) Close() {
	u.line.Close()
	u.done.Wait()
}
