package webproxy

import (
	"net/http"
	"strconv"
)

// refusal says why a request is refused, "" if it is not. A name of somebody
// else that leads to this port (DNS rebinding) shows in Host, a page of
// somebody else in Origin, also in that of a websocket.
func refusal(r *http.Request, port int) string {
	if !ours(r.Host, port) {
		return "This port answers to 127.0.0.1 and localhost only."
	}
	for _, origin := range r.Header.Values("Origin") {
		if origin != "http://"+r.Host {
			return "This port answers to its own pages only."
		}
	}
	return ""
}

// ours is an exact list. Browsers leave the port out when it is 80.
func ours(host string, port int) bool {
	end := ":" + strconv.Itoa(port)
	switch host {
	case "127.0.0.1" + end, "localhost" + end:
		return true
	case "127.0.0.1", "localhost":
		return port == 80
	}
	return false
}
