package holder

import "runtime/metrics"

// liveBytes is what the garbage collector found in use when it last ran.
func liveBytes() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
