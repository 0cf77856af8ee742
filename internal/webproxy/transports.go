package webproxy

import (
	"context"
	"net/http"
)

// transports go to the far server. Websockets of kernels have one of their own,
// because their connections may be of another kind: none is used again.
type transports struct{ pages, kernels *http.Transport }

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
	return transports{pages, kernels}
}

const kernelBuffer = 16 << 10

type kernelKey struct{}

// forKernel marks what is asked for the websocket of a kernel.
func forKernel(ctx context.Context) context.Context {
	return context.WithValue(ctx, kernelKey{}, true)
}

func isForKernel(ctx context.Context) bool { return ctx.Value(kernelKey{}) != nil }

func (t transports) RoundTrip(req *http.Request) (*http.Response, error) {
	if isForKernel(req.Context()) {
		return t.kernels.RoundTrip(req)
	}
	return t.pages.RoundTrip(req)
}

func (t transports) CloseIdleConnections() {
	t.pages.CloseIdleConnections()
	t.kernels.CloseIdleConnections()
}
