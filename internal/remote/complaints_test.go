package remote

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestN20_WhatStderrSays(t *testing.T) {
	_, none := ReadAnswer(bufio.NewReader(strings.NewReader("welcome\n")), NewNonce())
	c := ReadComplaints(strings.NewReader("Password expired.\n" + strings.Repeat("x", 1<<20)))
	var is *NoAnswerError
	if err := c.Of(none); !errors.As(err, &is) || !strings.HasPrefix(is.Cause(), "the login shell said instead: welcome / Password expired. / xxx") || len(is.Noise) > maxComplaints+10 {
		t.Errorf("%.200v", err)
	}
	if err := c.Of(io.EOF); err != io.EOF {
		t.Error(err)
	}
	endless, w := io.Pipe()
	defer w.Close()
	if err := ReadComplaints(endless).Of(none); err == nil { // it is not waited for without end
		t.Error("no error")
	}
}
