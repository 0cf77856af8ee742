package webproxy

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
)

// transports go to the far server. Websockets of kernels have one of their own,
// because their connections may be of another kind: none is used again.
type transports struct {
	quick          *quick
	pages, kernels *http.Transport
}

func (p *Proxy) newTransports() transports {
	pages := &http.Transport{
		Proxy:               nil, // a proxy from the environment must never see the token
		DialContext:         p.dial,
		DisableCompression:  true,
		MaxIdleConns:        idleStreams,
		MaxIdleConnsPerHost: idleStreams,
		IdleConnTimeout:     idle,
		ReadBufferSize:      bufferSize,
		WriteBufferSize:     bufferSize,
	}
	kernels := pages.Clone()
	kernels.MaxIdleConnsPerHost = -1
	kernels.ReadBufferSize, kernels.WriteBufferSize = kernelBuffer, kernelBuffer
	quick := &quick{ctx: p.ctx, dial: func(ctx context.Context) (net.Conn, error) { return p.dial(ctx, "", "") }}
	return transports{quick, pages, kernels}
}

const kernelBuffer = 16 << 10

type kernelKey struct{}

// forKernel marks what is asked for the websocket of a kernel.
func forKernel(ctx context.Context) context.Context {
	return context.WithValue(ctx, kernelKey{}, true)
}

func isForKernel(ctx context.Context) bool { return ctx.Value(kernelKey{}) != nil }

// roundTrip is that of http.RoundTripper. taken is told whether a connection has
// the request, or it waits for one.
func (t transports) roundTrip(req *http.Request, taken func(bool)) (*http.Response, error) {
	kernel := isForKernel(req.Context())
	if !kernel && isQuick(req) {
		return t.quick.roundTrip(req, taken)
	}
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { taken(false) },
		GotConn: func(httptrace.GotConnInfo) { taken(true) },
	}))
	if kernel {
		return t.kernels.RoundTrip(req)
	}
	return t.pages.RoundTrip(req)
}

func (t transports) CloseIdleConnections() {
	t.quick.CloseIdleConnections()
	t.pages.CloseIdleConnections()
	t.kernels.CloseIdleConnections()
}
