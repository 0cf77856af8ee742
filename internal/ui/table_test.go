package ui

import (
	"bytes"
	"testing"
	"time"

	"nbremote/test/lab"
)

func TestTable(t *testing.T) {
	var out bytes.Buffer
	err := Table(&out, [][]string{
		{"gpu1/main", "busy 41m", "train.ipynb, 2 kernels", "127.0.0.1:8890"},
		{"gpu1/日本", "exit 1, 18h ago", "a\nb", ""},
		{"x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, out.String(), `gpu1/main  busy 41m         train.ipynb, 2 kernels  127.0.0.1:8890
gpu1/日本  exit 1, 18h ago  a b
x
`)
}

func TestSince(t *testing.T) {
	now := time.Date(2024, 3, 15, 12, 0, 0, 0, time.Local) // a Friday
	for _, c := range []struct {
		ago  time.Duration
		want string
	}{
		{0, "12:00"}, {11 * time.Hour, "01:00"}, {13 * time.Hour, "yesterday 23:00"}, {36*time.Hour - time.Minute, "yesterday 00:01"},
		{48 * time.Hour, "Wednesday 12:00"}, {6 * 24 * time.Hour, "Saturday 12:00"}, {7 * 24 * time.Hour, "2024-03-08 12:00"},
		{-2 * time.Hour, "2024-03-15 14:00"}, {-30 * time.Second, "12:00"},
	} {
		if got := SinceAt(now.Add(-c.ago), now); got != c.want {
			t.Errorf("%v ago: %q, want %q", c.ago, got, c.want)
		}
	}
	if got := Since(time.Time{}); got != "some time" {
		t.Error(got)
	}
}

func TestSince_ClockChange(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		lab.Missing(t, "the time zones")
	}
	before := time.Local
	time.Local = zone
	t.Cleanup(func() { time.Local = before })
	for _, day := range []time.Time{time.Date(2024, 4, 1, 0, 30, 0, 0, zone), time.Date(2024, 10, 28, 0, 30, 0, 0, zone)} {
		if got := SinceAt(day.Add(-2*time.Hour), day); got[:9] != "yesterday" {
			t.Errorf("%v: %q", day, got)
		}
	}
}

func TestShort(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": -time.Second, "12s": 12 * time.Second, "41m": 41*time.Minute + 59*time.Second,
		"18h": 18*time.Hour + time.Minute, "47h": 47 * time.Hour, "3d": 80 * time.Hour,
	} {
		if got := Short(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestLong(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 12*time.Second + 900*time.Millisecond: "12 s", 260 * time.Second: "4 min 20 s", 2 * time.Minute: "2 min",
		9*time.Hour + 12*time.Minute + 5*time.Second: "9 h 12 min", 47 * time.Hour: "47 h", 80 * time.Hour: "3 days",
	} {
		if got := Long(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
